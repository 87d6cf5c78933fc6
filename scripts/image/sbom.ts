import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE, ROOT } from './config';
import type { SystemPackage } from './system';

interface Component {
  readonly 'bom-ref': string;
  readonly name: string;
  readonly version: string;
}

interface Bom {
  readonly metadata: { readonly component: Component };
  readonly components: readonly Component[];
}

interface Named {
  readonly name: string;
  readonly version: string;
}

/** Which release of which package lies in a folder of node_modules, as `npm sbom` refers to it. */
function refOf(folder: string): string {
  const text = readFileSync(join(ROOT, folder, 'package.json'), 'utf8');
  const { name, version } = JSON.parse(text) as Named;
  return `${name}@${version}`;
}

const component = (name: string, version: string, type: string, purl: string) => ({
  'bom-ref': purl,
  type,
  name,
  version,
  purl,
});

/**
 * CycloneDX, by `npm sbom`, cut to the packages that are in the image: most of what the lock file
 * names is for development. Without its serial number and time, equal images have equal bytes.
 */
export function sbomOf(
  folders: readonly string[],
  node: string,
  system: readonly SystemPackage[],
): string {
  const args = ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only'];
  const text = execFileSync('npm', args, { cwd: ROOT, encoding: 'utf8', maxBuffer: 1 << 28 });
  const {
    serialNumber: _,
    dependencies: __,
    ...bom
  } = JSON.parse(text) as Bom & Record<string, unknown>;
  const wanted = new Set(folders.map(refOf));
  const found = bom.components.filter((one) => wanted.has(one['bom-ref']));
  if (found.length !== wanted.size) throw new Error(`npm sbom knows not all of ${[...wanted]}`);
  const own = { ...bom.metadata.component, name: PACKAGE.name, type: 'application' };
  const components = [
    component('node', node, 'platform', `pkg:generic/node@${node}`),
    ...system.map(({ name, version }) =>
      component(name, version, 'library', `pkg:deb/debian/${name}@${encodeURIComponent(version)}`),
    ),
    ...found,
  ];
  return `${JSON.stringify({ ...bom, metadata: { component: own }, components }, null, 1)}\n`;
}
