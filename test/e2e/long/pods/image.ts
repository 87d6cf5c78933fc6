import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, posix } from 'node:path';
import { ROOT } from '../../../support/sources';
import type { ServerName } from '../install';
import { findServer, PACKAGES, sitePackages } from '../install';

// Images of model servers made by others, for nodes that cannot pull them: this machine's python and
// the packages that pip installed, laid out as the makers' own images are: user 1000, their working
// folder, the program in PATH.

const HOME = '/usr/local';
const UID = 1000;
/** Exit code of scripts/image.sh and scripts/bring-image.sh where they cannot do it here. */
const NOT_POSSIBLE = 3;

/** One thing in the image: its path there, and a file of this machine, text, or the target of a link. */
export type Item = { readonly to: string } & (
  { readonly file: string } | { readonly text: string } | { readonly link: string }
);

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
    return { to: posix.join(to, path), file };
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
    .map((file) => ({ to: file, file }));
}

const ACCOUNTS: readonly Item[] = [
  {
    to: '/etc/passwd',
    text: `root:x:0:0:root:/:/sbin/nologin\nserver:x:${UID}:0:server:/tmp:/sbin/nologin\n`,
  },
  { to: '/etc/nsswitch.conf', text: 'hosts: files dns\n' },
];

/**
 * Files in an image have the image's date, and python compiles a file again when its date changed: these
 * are compiled such that python does not look at dates. Some packages have files of another python.
 */
function compile(venv: string): void {
  const flags = ['-q', '-f', '--invalidation-mode', 'unchecked-hash'];
  const python = join(venv, 'bin', 'python');
  spawnSync('nice', [python, '-m', 'compileall', ...flags, sitePackages(venv)]);
}

function itemsOf(recipe: Recipe, venv: string): readonly Item[] {
  compile(venv);
  const python = pythonOf(venv);
  const library = posix.join(HOME, 'lib', basename(python.library));
  const packages = posix.join(library, 'site-packages');
  const items = [
    { to: `${HOME}/bin/python3`, file: python.program },
    // Programs that embed Debian's python look for packages there.
    { to: `${library}/dist-packages`, link: packages },
    ...treeOf(python.library, library, /^(?:site-packages|test|idlelib|config-)/),
    ...treeOf(sitePackages(venv), packages, /^pip\b/),
    ...recipe.items(packages),
  ];
  return [...ACCOUNTS, ...items, ...machineLibraries(items, venv)];
}

function place(item: Item, root: string): void {
  const path = join(root, item.to);
  mkdirSync(dirname(path), { recursive: true });
  if ('link' in item) symlinkSync(item.link, path);
  else if ('text' in item) writeFileSync(path, item.text);
  else copyFileSync(item.file, path);
}

const dockerfileOf = ({ workdir }: Recipe): string => `FROM scratch
COPY root /
ENV PATH=${HOME}/bin:/usr/bin:/bin
WORKDIR ${workdir}
USER ${UID}
`;

function isOlder(archive: string, sources: readonly string[]): boolean {
  const made = statSync(archive, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return sources.some((file) => statSync(file).mtimeMs > made);
}

/** Everything that the image consists of, as a folder to build it from. */
function writeContext(context: string, recipe: Recipe, venv: string): void {
  rmSync(context, { recursive: true, force: true });
  const root = join(context, 'root');
  mkdirSync(join(root, 'tmp'), { recursive: true });
  chmodSync(join(root, 'tmp'), 0o1777);
  for (const item of itemsOf(recipe, venv)) place(item, root);
  writeFileSync(join(context, 'Dockerfile'), dockerfileOf(recipe));
}

/** Runs a script; false, with a line that says why, where it cannot do its work here. */
function ranScript(server: ServerName, name: string, args: readonly string[]): boolean {
  const script = join(ROOT, 'scripts', name);
  const { status, stderr } = spawnSync(script, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (status !== 0 && status !== NOT_POSSIBLE) throw new Error(`${script} ${args}: ${stderr}`);
  if (status === NOT_POSSIBLE) console.warn(`SKIPPED ${server} in pods: ${stderr.trim()}`);
  return status === 0;
}

/** The image of a server in the nodes; undefined, with a line that says why. */
export function findImage(recipe: Recipe): string | undefined {
  const { server } = recipe;
  const venv = findServer(server);
  if (venv === undefined) return undefined;
  const [, version = '0'] = PACKAGES[server][0].split('==');
  const name = `localhost/${server}:${version}`;
  const archive = join(ROOT, 'build', 'long', `${server}.tar`);
  const sources = [__filename, join(venv, 'installed.txt'), ...recipe.items('').flatMap(fileOf)];
  if (isOlder(archive, sources)) {
    const context = join(ROOT, 'build', 'long', `${server}-image`);
    writeContext(context, recipe, venv);
    const args = ['--name', name, '--archive', archive, '--context', context];
    const built = ranScript(server, 'image.sh', args);
    rmSync(context, { recursive: true });
    if (!built) return undefined;
  }
  return ranScript(server, 'bring-image.sh', [archive]) ? name : undefined;
}
