import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

// What the image takes from the machine it is made on: Node, two small programs, and the shared
// libraries that these and ONNX Runtime ask for.

/** From this version on glibc finds names of hosts without plug-ins that `ldd` does not see. */
const MIN_GLIBC = [2, 34] as const;
const NODE_MAJOR = 24;

interface Report {
  readonly header: { readonly glibcVersionRuntime?: string };
}

/** @throws Error where the libraries are not those of a common, new enough Linux */
export function checkMachine(): void {
  const { header } = process.report.getReport() as unknown as Report;
  const [major = 0, minor = 0] = (header.glibcVersionRuntime ?? '').split('.').map(Number);
  if (process.platform === 'linux' && major === MIN_GLIBC[0] && minor >= MIN_GLIBC[1]) return;
  const found = header.glibcVersionRuntime ?? 'none';
  throw new Error(
    `an image is made on Linux with glibc ${MIN_GLIBC.join('.')} or newer, found ${found}; use the Dockerfile`,
  );
}

/** Version of a Node binary, `24.…`. */
export function nodeVersion(node: string): string {
  return execFileSync(node, ['-p', 'process.versions.node'], { encoding: 'utf8' }).trim();
}

/** The Node 24 that runs this, or the one npm brings, kept below `cache` for the next time. */
export function findNode(cache: string): string {
  if (nodeVersion(process.execPath).startsWith(`${NODE_MAJOR}.`)) return process.execPath;
  const node = join(cache, 'node_modules', 'node', 'bin', 'node');
  if (!existsSync(node)) {
    const flags = ['--no-audit', '--no-fund', '--loglevel=error', '--ignore-scripts=false'];
    const args = ['install', '--prefix', cache, ...flags, `node@${NODE_MAJOR}`];
    execFileSync('npm', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  }
  return node;
}

/** Where a program of the machine lies. */
export function findProgram(name: string): string {
  const folders = (process.env['PATH'] ?? '').split(':');
  // The usual places first: a developer's PATH may begin with wrappers.
  const found = ['/usr/bin', '/bin', ...folders].map((folder) => join(folder, name));
  const path = found.find(existsSync);
  if (path === undefined) throw new Error(`${name} is missing on this machine; install coreutils`);
  return path;
}

/** Paths of the shared libraries that the files need, the loader included, without their own. */
export function librariesOf(files: readonly string[], own: string): readonly string[] {
  const lines = files.flatMap((file) =>
    execFileSync('ldd', [file], { encoding: 'utf8' }).split('\n'),
  );
  const missing = lines.find((line) => line.includes('not found'));
  if (missing !== undefined) throw new Error(`a shared library is missing:${missing}`);
  const paths = lines.flatMap((line) => /(?:=> )?(\/\S+) \(0x/.exec(line)?.[1] ?? []);
  return [...new Set(paths)].filter((path) => dirname(path) !== own).sort();
}

/** A package of the distribution that a file of the image comes from. */
export interface SystemPackage {
  readonly name: string;
  readonly version: string;
  readonly copyright: string;
}

/** Debian's database may know a file by its place before /lib became a link to /usr/lib. */
const placesOf = (file: string): readonly string[] => [
  ...new Set([file, realpathSync(file), join(realpathSync(dirname(file)), basename(file))]),
];

function packageOf(file: string): SystemPackage | undefined {
  const bare = placesOf(file).flatMap((path) => [path, path.replace(/^\/usr/, '')]);
  const asked = spawnSync('dpkg-query', ['-S', ...bare], { encoding: 'utf8' });
  const name = /^([^:\s]+)/.exec(asked.stdout ?? '')?.[1];
  if (name === undefined) return undefined;
  const show = ['-W', '-f', '${Version}', name];
  const version = execFileSync('dpkg-query', show, { encoding: 'utf8' });
  return { name, version, copyright: `/usr/share/doc/${name}/copyright` };
}

/** Packages of the distribution, each once; empty where its database is not Debian's. */
export function packagesOf(files: readonly string[]): readonly SystemPackage[] {
  const all = files.flatMap((file) => packageOf(file) ?? []);
  return [...new Map(all.map((one) => [one.name, one])).values()].sort((a, b) =>
    a.name < b.name ? -1 : 1,
  );
}
