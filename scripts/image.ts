import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { DEFAULT_IMAGES } from '../lib/spec';
import { CONTAINER, ROOT } from './image/config';
import { imageLayers } from './image/contents';
import { ociArchive } from './image/oci';
import { checkMachine, findNode } from './image/system';
import { writeTrees } from './image/tree';

// Makes the image without docker: as directory trees, one for each layer, or as an OCI archive that
// `ctr images import`, `kind load image-archive` and `docker load` take.

const USAGE = `npx tsx scripts/image.ts [--tree FOLDER] [--oci FILE] [--name NAME] [--node FILE]
  --tree FOLDER  write the layers as FOLDER/system, FOLDER/onnxruntime, FOLDER/app
  --oci FILE     write an OCI archive; its name is that of the manifests unless --name says another
  --node FILE    the Node 24 to put in; else the one that runs this, or npm's`;

/** docker's own rule: a name without a registry host is docker.io's. */
function wholeName(name: string): string {
  const [first = '', ...rest] = name.split('/');
  if (rest.length > 0 && (/[.:]/.test(first) || first === 'localhost')) return name;
  return `docker.io/${rest.length === 0 ? 'library/' : ''}${name}`;
}

/** What git says of the checkout; a folder without git has none of it. */
function git(...args: readonly string[]): string | undefined {
  try {
    return execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', stdio: 'pipe' }).trim();
  } catch {
    return undefined;
  }
}

/** Time of the commit, not of the build, so that the same sources give the same image. */
function created(): string {
  const seconds = Number(process.env['SOURCE_DATE_EPOCH'] ?? git('log', '-1', '--format=%ct') ?? 0);
  return new Date(seconds * 1000).toISOString().replace('.000', '');
}

function container(): typeof CONTAINER {
  const revision = git('rev-parse', 'HEAD');
  const labels = {
    'org.opencontainers.image.created': created(),
    ...(revision !== undefined && { 'org.opencontainers.image.revision': revision }),
  };
  return { ...CONTAINER, Labels: { ...CONTAINER.Labels, ...labels } };
}

function main(): void {
  const { values } = parseArgs({
    options: {
      tree: { type: 'string' },
      oci: { type: 'string' },
      name: { type: 'string', default: DEFAULT_IMAGES.onnx },
      node: { type: 'string' },
    },
  });
  if (values.tree === undefined && values.oci === undefined) throw new Error(USAGE);
  checkMachine();
  const node = values.node ?? findNode(join(ROOT, 'build', 'node'));
  const layers = imageLayers(resolve(node));
  if (values.tree !== undefined) writeTrees(layers, values.tree);
  if (values.oci === undefined) return;
  const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';
  const name = wholeName(values.name);
  const options = { name, architecture, created: created(), container: container() } as const;
  mkdirSync(dirname(resolve(values.oci)), { recursive: true });
  writeFileSync(values.oci, ociArchive(layers, options));
  console.log(`${values.oci}: ${name}`);
}

try {
  main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
