// Prints the image's bill of materials: CycloneDX by `npm sbom`, cut to the packages that are in the image
// (most that the lock file names are for development), with Node and the Debian packages that the arguments
// name. Without its serial number and time, equal images have equal bytes.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const output = (program, ...args) =>
  execFileSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'));

/** Name, version and reference in `npm sbom` of the package in a folder. */
function referenceOf(folder) {
  const { name, version } = readJson(`${folder}/package.json`);
  return `${name}@${version}`;
}

const component = (type, name, version, purl) => ({ 'bom-ref': purl, type, name, version, purl });

function debianComponent(name) {
  const version = output('dpkg-query', '--show', '--showformat=${Version}', name);
  const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}`;
  return component('library', name, version, purl);
}

const besideBundle = ['jiti', 'onnxruntime-node', 'onnxruntime-common', 'swagger-ui-dist'];
const folders = [
  ...readJson('build/bin.cjs.packages.json'),
  ...besideBundle.map((name) => `node_modules/${name}`),
];
const wanted = new Set(folders.map(referenceOf));
const whole = output('npm', 'sbom', '--sbom-format', 'cyclonedx', '--package-lock-only');
const { serialNumber: _, dependencies: __, ...bom } = JSON.parse(whole);
const found = bom.components.filter((one) => wanted.has(one['bom-ref']));
if (found.length !== wanted.size) {
  throw new Error(`npm sbom does not name all of ${[...wanted].join(', ')}`);
}

const { node } = process.versions;
const metadata = {
  component: {
    ...bom.metadata.component,
    name: readJson('package.json').name,
    type: 'application',
  },
};
const components = [
  component('platform', 'node', node, `pkg:generic/node@${node}`),
  ...process.argv.slice(2).map(debianComponent),
  ...found,
];
console.log(JSON.stringify({ ...bom, metadata, components }, null, 1));
