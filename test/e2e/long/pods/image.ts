import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { basename, join, posix } from 'node:path';
import type { Item, Layer } from '../../../../scripts/image/items';
import { FILE_MODE, PROGRAM_MODE } from '../../../../scripts/image/items';
import { ociArchive } from '../../../../scripts/image/oci';
import { ROOT } from '../../../support/sources';
import type { ServerName } from '../install';
import { findServer, PACKAGES, sitePackages } from '../install';

// Images of model servers made by others, for nodes that cannot pull them: this machine's python and
// what pip installed, laid out as the makers' own images are: user 1000, their working folder, the
// program in PATH.

const HOME = '/usr/local';
const UID = 1000;
/** What scripts/bring-image.sh ends with where it cannot bring an image. */
const NO_WAY = 3;

/** What differs between the images. */
export interface Recipe {
  readonly server: Extract<ServerName, 'mlserver' | 'triton'>;
  /** The maker's image has it; it is the place for what a server writes by itself. */
  readonly workdir: string;
  /** Beside the packages; `packages` is where they lie in the image. */
  readonly items: (packages: string) => readonly Item[];
}

interface Python {
  readonly program: string;
  readonly library: string;
}

const ASK_PYTHON = `
import json, os, sys, sysconfig
found = {"program": os.path.realpath(sys.executable), "library": sysconfig.get_path("stdlib")}
print(json.dumps(found))
`;

function pythonOf(venv: string): Python {
  const python = join(venv, 'bin', 'python');
  return JSON.parse(execFileSync(python, ['-c', ASK_PYTHON], { encoding: 'utf8' })) as Python;
}

/** All files below a folder but those whose path below it is unwanted. */
function treeOf(from: string, to: string, unwanted: RegExp): readonly Item[] {
  return readdirSync(from, { recursive: true, encoding: 'utf8' }).flatMap((path) => {
    const file = join(from, path);
    const stat = unwanted.test(path) ? undefined : statSync(file, { throwIfNoEntry: false });
    if (stat?.isFile() !== true) return [];
    return { to: posix.join(to, path), file, mode: stat.mode & 0o111 ? PROGRAM_MODE : FILE_MODE };
  });
}

const fileOf = (item: Item): readonly string[] => ('file' in item ? [item.file] : []);

/** Shared libraries that are the machine's; those in packages find each other. */
function machineLibraries(items: readonly Item[], venv: string): readonly Item[] {
  const asking = items
    .flatMap(fileOf)
    .filter((file) => /\.so(?:\.|$)|\/bin\/[^/]+$|_stub$/.test(file));
  const said = spawnSync('ldd', asking, { encoding: 'utf8', maxBuffer: 1 << 28 }).stdout;
  const paths = [...said.matchAll(/^\s+(?:\S+ => )?(\/\S+) \(0x/gm)].map(([, path = '']) => path);
  return [...new Set(paths)]
    .filter((file) => !file.startsWith(venv))
    .map((file) => ({ to: file, file, mode: PROGRAM_MODE }));
}

const ACCOUNTS: readonly Item[] = [
  {
    to: '/etc/passwd',
    text: `root:x:0:0:root:/:/sbin/nologin\nserver:x:${UID}:0:server:/tmp:/sbin/nologin\n`,
  },
  { to: '/etc/nsswitch.conf', text: 'hosts: files dns\n' },
  { to: '/tmp', folder: true, mode: 0o1777 },
];

/**
 * Files of an image have no date, and python compiles anew what has another date than it had: these
 * are compiled such that no date is looked at. Some packages have files of another python.
 */
function compile(venv: string): void {
  const flags = ['-q', '-f', '--invalidation-mode', 'unchecked-hash'];
  const python = join(venv, 'bin', 'python');
  spawnSync('nice', [python, '-m', 'compileall', ...flags, sitePackages(venv)]);
}

function layersOf(recipe: Recipe, venv: string): readonly Layer[] {
  compile(venv);
  const python = pythonOf(venv);
  const library = posix.join(HOME, 'lib', basename(python.library));
  const packages = posix.join(library, 'site-packages');
  const own = [
    ...treeOf(sitePackages(venv), packages, /^pip\b/),
    { to: recipe.workdir, folder: true } as const,
    ...recipe.items(packages),
  ];
  const base = [
    { to: `${HOME}/bin/python3`, file: python.program, mode: PROGRAM_MODE },
    // Programs that embed Debian's python look for packages there.
    { to: `${library}/dist-packages`, link: packages },
    ...treeOf(python.library, library, /^(?:site-packages|test|idlelib|config-)/),
  ];
  const libraries = machineLibraries([...base, ...own], venv);
  return [
    { name: 'python', items: [...ACCOUNTS, ...base, ...libraries] },
    { name: recipe.server, items: own },
  ];
}

const CONTAINER = {
  User: String(UID),
  Env: [`PATH=${HOME}/bin:/usr/bin:/bin`],
};

function isOlder(archive: string, sources: readonly string[]): boolean {
  const made = statSync(archive, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return sources.some((file) => statSync(file).mtimeMs > made);
}

/** The archive of an image, made again when its packages or its files changed. */
function archiveOf(recipe: Recipe, venv: string, name: string): string {
  const archive = join(ROOT, 'build', 'long', `${recipe.server}.tar`);
  const sources = [__filename, join(venv, 'installed.txt'), ...recipe.items('').flatMap(fileOf)];
  if (!isOlder(archive, sources)) return archive;
  const options = {
    name,
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    created: new Date(0).toISOString(),
    container: { ...CONTAINER, WorkingDir: recipe.workdir },
  } as const;
  writeFileSync(archive, ociArchive(layersOf(recipe, venv), options));
  return archive;
}

/** The image of a server in the nodes; undefined, with a line that says why. */
export function findImage(recipe: Recipe): string | undefined {
  const venv = findServer(recipe.server);
  if (venv === undefined) return undefined;
  const [, version = '0'] = PACKAGES[recipe.server][0].split('==');
  const name = `localhost/${recipe.server}:${version}`;
  const archive = archiveOf(recipe, venv, name);
  const bring = join(ROOT, 'scripts', 'bring-image.sh');
  const { status, stderr } = spawnSync(bring, [archive], { encoding: 'utf8' });
  if (status === 0) return name;
  if (status !== NO_WAY) throw new Error(`${bring} ${archive}: ${stderr}`);
  console.warn(`SKIPPED ${recipe.server} in pods: ${stderr.trim()}`);
  return undefined;
}
