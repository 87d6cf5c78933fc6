import { existsSync, readFileSync } from 'node:fs';
import { basename, join, posix } from 'node:path';
import { RUNTIME_UID } from '../../lib/objects/security';
import { ROOT } from './config';
import type { Item, Layer } from './items';
import { filesOf, PROGRAM_MODE } from './items';
import { sbomOf } from './sbom';
import { findProgram, librariesOf, nodeVersion, packagesOf } from './system';

// THE list of what is in the image. The Dockerfile and scripts/image.ts both take it from here.

const APP = '/app';
const BIN = join(ROOT, 'build', 'bin.cjs');
/** Anybody may write, nobody may remove what another wrote: the image runs as any user. */
const SHARED_MODE = 0o1777;
const MODULES = join(ROOT, 'node_modules');

/** ONNX Runtime's files for this platform; the package brings them for every one. */
function onnxFolder(): { readonly from: string; readonly to: string } {
  const below = join('onnxruntime-node', 'bin', 'napi-v6', 'linux', process.arch);
  const from = join(MODULES, below);
  if (existsSync(from)) return { from, to: posix.join(APP, 'node_modules', below) };
  throw new Error(`${from} is missing; run scripts/dev.sh setup, on x64 or arm64`);
}

const ACCOUNTS: readonly Item[] = [
  {
    to: '/etc/passwd',
    text: `root:x:0:0:root:/:/sbin/nologin\napp:x:${RUNTIME_UID}:${RUNTIME_UID}:app:/data:/sbin/nologin\n`,
  },
  { to: '/etc/group', text: `root:x:0:\napp:x:${RUNTIME_UID}:\n` },
  // Without it glibc would look for hosts by DNS before /etc/hosts.
  { to: '/etc/nsswitch.conf', text: 'hosts: files dns\n' },
];

/** `env` is what a script's first line calls; Kubernetes before 1.30 drains by `sleep`. */
const programs = (): readonly string[] => ['env', 'sleep'].map(findProgram);

function machineFiles(node: string): readonly string[] {
  const { from } = onnxFolder();
  const asking = [node, ...programs(), ...filesOf(from, '/').flatMap(pathOf)];
  return librariesOf(asking, from);
}

const pathOf = (item: Item): readonly string[] => ('file' in item ? [item.file] : []);

function systemLayer(node: string): Layer {
  const libraries = machineFiles(node);
  const copyrights = packagesOf([...programs(), ...libraries]).map(({ copyright }) => copyright);
  return {
    name: 'system',
    items: [
      ...ACCOUNTS,
      { to: '/tmp', folder: true, mode: SHARED_MODE },
      { to: '/data', folder: true, mode: SHARED_MODE },
      { to: '/usr/local/bin/node', file: node, mode: PROGRAM_MODE },
      ...programs().map((file) => ({
        to: `/usr/bin/${basename(file)}`,
        file,
        mode: PROGRAM_MODE,
      })),
      ...libraries.map((file) => ({ to: file, file, mode: PROGRAM_MODE })),
      ...copyrights.filter(existsSync).map((file) => ({ to: file, file })),
    ],
  };
}

function moduleFiles(name: string, below: string, wanted?: RegExp): readonly Item[] {
  const to = posix.join(APP, 'node_modules', name, below);
  return filesOf(join(MODULES, name, below), to, wanted);
}

function onnxLayer(): Layer {
  const { from, to } = onnxFolder();
  return {
    name: 'onnxruntime',
    items: [
      ...filesOf(from, to),
      ...moduleFiles('onnxruntime-node', '', /^package\.json$/),
      ...moduleFiles('onnxruntime-node', 'dist', /\.js$/),
      ...moduleFiles('onnxruntime-common', '', /^package\.json$/),
      ...moduleFiles('onnxruntime-common', 'dist/cjs', /\.js$|^package\.json$/),
    ],
  };
}

/** Packages inside the bundle, as esbuild saw them, and those beside it. */
function packageFolders(): readonly string[] {
  const bundled = JSON.parse(readFileSync(`${BIN}.packages.json`, 'utf8')) as readonly string[];
  const beside = ['jiti', 'onnxruntime-node', 'onnxruntime-common', 'swagger-ui-dist'];
  return [...bundled, ...beside.map((name) => `node_modules/${name}`)];
}

function appLayer(node: string): Layer {
  const system = packagesOf([...programs(), ...machineFiles(node)]);
  return {
    name: 'app',
    items: [
      { to: `${APP}/build/bin.cjs`, file: BIN, mode: PROGRAM_MODE },
      { to: `${APP}/build/bin.cjs.LEGAL.txt`, file: `${BIN}.LEGAL.txt` },
      ...filesOf(join(ROOT, 'build', 'docs-assets'), `${APP}/build/docs-assets`),
      // Definitions in TypeScript need it.
      ...moduleFiles('jiti', '', /^(?:package\.json|LICENSE)$/),
      ...moduleFiles('jiti', 'lib', /\.cjs$/),
      ...moduleFiles('jiti', 'dist'),
      { to: `${APP}/LICENSE`, file: join(ROOT, 'LICENSE') },
      { to: `${APP}/healthcheck.cjs`, file: join(__dirname, 'healthcheck.cjs') },
      { to: `${APP}/sbom.cdx.json`, text: sbomOf(packageFolders(), nodeVersion(node), system) },
      { to: '/usr/local/bin/ai-model-service', link: `${APP}/build/bin.cjs` },
    ],
  };
}

/** The layers of the image, what changes least first. `node` is the binary that goes into it. */
export function imageLayers(node: string): readonly Layer[] {
  if (!existsSync(BIN)) throw new Error('build/bin.cjs is missing; run scripts/dev.sh build');
  return [systemLayer(node), onnxLayer(), appLayer(node)];
}
