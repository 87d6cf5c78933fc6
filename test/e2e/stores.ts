import type { ChildProcess } from 'node:child_process';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../support/sources';
import { until } from './service';

// Real stores, made by others: moto is S3 with signatures, policies and STS; the registry is that of
// go-containerregistry. They, and Prometheus, are installed into build/e2e once, where pip and go can.

const FOLDER = join(ROOT, 'build', 'e2e');
const INSTALL_MS = 540_000;
const START_MS = 60_000;
const MOTO = 'moto[server,s3,iam]==5.1.*';
const PROMETHEUS = 'github.com/prometheus/prometheus/cmd/prometheus@v0.316.0';
const REGISTRY = 'github.com/google/go-containerregistry/cmd/registry@v0.22.1';

/** Path of a program, installed when it is not there; undefined, with a line that says why. */
function installed(program: string, install: () => void): string | undefined {
  const path = join(FOLDER, 'bin', program);
  if (existsSync(path)) return path;
  try {
    install();
    return path;
  } catch (error) {
    const [reason] = (error as Error).message.split('\n');
    console.warn(`skipped, ${program} could not be installed: ${reason}`);
    return undefined;
  }
}

const run = (program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): void => {
  const settings = { timeout: INSTALL_MS, stdio: 'pipe', env: { ...process.env, ...env } } as const;
  execFileSync(program, args, settings);
};

export function findMoto(): string | undefined {
  return installed('moto_server', () => {
    run('python3', ['-m', 'venv', FOLDER]);
    run(join(FOLDER, 'bin', 'pip'), ['install', '--quiet', MOTO]);
  });
}

export function findRegistry(): string | undefined {
  const env = { GOBIN: join(FOLDER, 'bin') };
  return installed('registry', () => run('go', ['install', REGISTRY], env));
}

/** Without service discovery it is half the work; scripts/check-alerts.sh has its rule tester. */
export function findPrometheus(): string | undefined {
  const env = { GOBIN: join(FOLDER, 'bin') };
  const args = ['install', '-tags', 'remove_all_sd', PROMETHEUS];
  return installed('prometheus', () => run('go', args, env));
}

export interface RealStore {
  readonly url: string;
  readonly end: () => Promise<void>;
}

/** Starts a program on a port of the kernel's choice, and waits until it says which. */
export async function started(
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<RealStore> {
  const child: ChildProcess = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  }
  const port = (): string | undefined => /(?:127\.0\.0\.1:|port )([1-9]\d+)/.exec(said)?.[1];
  await until(
    program,
    () => said,
    () => port() !== undefined,
    START_MS,
  );
  return {
    url: `http://127.0.0.1:${port()}`,
    end: async () => {
      const gone = once(child, 'exit');
      child.kill();
      await gone;
    },
  };
}
