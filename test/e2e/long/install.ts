import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ROOT } from '../../support/sources';

// Model servers made by others, installed into build/long once, where pip can.

const FOLDER = join(ROOT, 'build', 'long');
const INSTALL_MS = 900_000;

/** The versions that are proven; docs/kubernetes.md names them. */
export const PACKAGES = {
  // Its workers do not start with uvloop 0.22, which gives no event loop unasked.
  mlserver: ['mlserver==1.7.1', 'mlserver-sklearn==1.7.1', 'uvloop==0.21.0'],
  kserve: ['kserve==0.21.0'],
  triton: ['nvidia-pytriton==0.7.0'],
} as const;

export type ServerName = keyof typeof PACKAGES;

function installed(name: ServerName): string {
  const folder = join(FOLDER, name);
  const marker = join(folder, 'installed.txt');
  const wanted = PACKAGES[name].join(' ');
  if (existsSync(marker) && readFileSync(marker, 'utf8') === wanted) return folder;
  rmSync(folder, { recursive: true, force: true });
  const settings = { timeout: INSTALL_MS, stdio: 'pipe' } as const;
  execFileSync('python3', ['-m', 'venv', folder], settings);
  const pip = [join(folder, 'bin', 'pip'), 'install', '--quiet', ...PACKAGES[name]];
  execFileSync('nice', pip, settings);
  writeFileSync(marker, wanted);
  return folder;
}

/** The folder of packages in a virtual environment. */
export function sitePackages(venv: string): string {
  const [version = ''] = readdirSync(join(venv, 'lib'));
  return join(venv, 'lib', version, 'site-packages');
}

/**
 * The package keeps the program that runs python models apart, one for each version of python; a
 * server that is started by hand looks for it beside its backend.
 */
function completeTriton(venv: string): void {
  const triton = join(sitePackages(venv), 'pytriton', 'tritonserver');
  const version = basename(dirname(sitePackages(venv))).replace('python', '');
  const program = 'triton_python_backend_stub';
  const from = join(triton, 'python_backend_stubs', version, program);
  const to = join(triton, 'backends', 'python', program);
  copyFileSync(from, to);
  // Triton would do it, which it cannot in a pod.
  chmodSync(to, 0o755);
  for (const file of [from, join(triton, 'bin', 'tritonserver')]) {
    const libraries = execFileSync('ldd', [file], { encoding: 'utf8' });
    const missing = /\S+ => not found/.exec(libraries)?.[0];
    if (missing !== undefined) throw new Error(`${basename(file)}: ${missing}`);
  }
}

const CHECKS: Readonly<Record<ServerName, (venv: string) => void>> = {
  mlserver: (venv) => void execFileSync(join(venv, 'bin', 'mlserver'), ['--version']),
  kserve: (venv) => void execFileSync(join(venv, 'bin', 'python'), ['-c', 'import kserve']),
  triton: completeTriton,
};

/** Folder of a virtual environment with a server; undefined, with a line that says why. */
export function findServer(name: ServerName): string | undefined {
  try {
    const venv = installed(name);
    CHECKS[name](venv);
    return venv;
  } catch (error) {
    const [reason] = (error as Error).message.split('\n');
    console.warn(`SKIPPED ${name} (${PACKAGES[name].join(' ')}) cannot run here: ${reason}`);
    return undefined;
  }
}
