import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

// Python clients, in environments of their own that are made once and kept.

const run = promisify(execFile);

const INSTALL_MS = 540_000;

/** Named exactly; pip chooses what they need. */
export const CLIENTS = {
  triton: 'tritonclient[http,grpc]==2.73.0',
  kserve: 'kserve==0.21.0',
} as const;

export interface Python {
  /** Runs a script, and gives what it printed. */
  readonly run: (...args: readonly string[]) => Promise<string>;
}

/** Nobody else, who may look at the same folder, sees it half made. */
function install(requirement: string, folder: string): void {
  const making = `${folder}.${process.pid}`;
  const options = { timeout: INSTALL_MS, stdio: 'pipe', encoding: 'utf8' } as const;
  try {
    execFileSync('python3', ['-m', 'venv', making], options);
    const pip = ['-m', 'pip', 'install', '--quiet', requirement];
    execFileSync(join(making, 'bin', 'python'), pip, options);
    if (!existsSync(folder)) renameSync(making, folder);
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? '';

/**
 * Undefined when it cannot be had here; then a line says so. Waits: whether there are tests at all
 * depends on it.
 */
export function pythonWith(name: keyof typeof CLIENTS): Python | undefined {
  const requirement = CLIENTS[name];
  try {
    const version = execFileSync('python3', ['--version'], { encoding: 'utf8' });
    const key = createHash('sha256').update(`${version}${requirement}`).digest('hex').slice(0, 12);
    const root = join(tmpdir(), 'ai-model-service-clients');
    const folder = join(root, `${name}-${key}`);
    mkdirSync(root, { recursive: true, mode: 0o700 });
    if (!existsSync(folder)) install(requirement, folder);
    const python = join(folder, 'bin', 'python');
    return {
      run: async (...args) => {
        const { stdout } = await run(python, args, { maxBuffer: 64 * 1024 * 1024 });
        return stdout;
      },
    };
  } catch (error) {
    const { stderr, message } = error as Error & { readonly stderr?: string };
    const why = lastLine(stderr === undefined || stderr === '' ? message : stderr);
    process.stderr.write(`SKIPPED: the tests of ${requirement}: it cannot be installed (${why})\n`);
    return undefined;
  }
}
