import type { ChildProcess } from 'node:child_process';
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { ROOT } from '../../../support/sources';
import { until } from '../../service';
import type { SenderOrder, SenderReport } from './sender';

const MIB = 1024 * 1024;
/** As the image is run: docs/image.md. */
export const MEMORY_MIB = 512;
const OLD_SPACE_MIB = MEMORY_MIB / 2;
const HERE = __dirname;

/** What the service tells of itself since it was asked last; the peak is that of its life. */
export interface Metered {
  readonly stepMs: number;
  readonly peakMib: number;
  readonly at: number;
}

/** The service, a model server and those who call: each a process. */
export interface Scene {
  readonly isAlive: () => boolean;
  readonly metered: () => Promise<Metered>;
  readonly send: (order: SenderOrder) => Promise<SenderReport>;
  /** Another caller calls until this is called. @returns milliseconds of its calls, in order of size */
  readonly others: () => () => Promise<readonly number[]>;
  readonly close: () => void;
}

const forked = (file: string, ...args: string[]): ChildProcess =>
  fork(join(HERE, file), args, { execArgv: file.endsWith('.ts') ? ['--import', 'tsx'] : [] });

const definition = (id: string, protocol: string) => ({
  id,
  version: '1',
  framework: 'custom',
  image: `registry.example.org/${id}:1`,
  server: { kind: 'custom', protocol },
  inference: { maxConcurrency: 64 },
});

function configure(folder: string, echo: string, passed: string, small: string): void {
  const models = join(folder, 'models');
  rmSync(models, { recursive: true });
  mkdirSync(models);
  copyFileSync(join(HERE, 'meter.cjs'), join(folder, 'meter.cjs'));
  for (const [id, protocol] of [
    ['echo', 'native'],
    ['passed', 'v2'],
    ['small', 'v2'],
  ] as const) {
    writeFileSync(join(models, `${id}.json`), JSON.stringify(definition(id, protocol)));
  }
  const endpoints = {
    echo: { stable: [echo] },
    passed: { stable: [passed] },
    small: { stable: [small] },
  };
  const server = { port: 0, accept_seconds: 0, max_held_bytes: (MEMORY_MIB / 4) * MIB };
  writeFileSync(join(folder, 'config.yaml'), stringify({ server, local: { endpoints } }));
}

async function started(folder: string): Promise<{ service: ChildProcess; port: string }> {
  const heap = `--max-semi-space-size=8 --max-old-space-size=${OLD_SPACE_MIB}`;
  const command = [join(ROOT, 'build', 'bin.cjs'), 'serve', '--config', 'config.yaml'];
  const service = spawn(process.execPath, ['--require', './meter.cjs', ...command], {
    cwd: folder,
    env: { ...process.env, NODE_OPTIONS: heap, MALLOC_ARENA_MAX: '2' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  for (const output of [service.stdout, service.stderr]) {
    output.on('data', (bytes: Buffer) => (log += bytes.toString()));
  }
  const found = (): string | undefined => /http:\/\/127\.0\.0\.1:(\d+)/.exec(log)?.[1];
  await until('start', found, (port) => port !== undefined || service.exitCode !== null);
  const port = found();
  if (port === undefined) throw new Error(log);
  return { service, port };
}

async function metered(folder: string, service: ChildProcess): Promise<Metered> {
  const asked = Date.now();
  service.kill('SIGUSR2');
  const read = (): Metered | undefined => {
    try {
      return JSON.parse(readFileSync(join(folder, 'meter.json'), 'utf8')) as Metered;
    } catch {
      return undefined;
    }
  };
  const seen = await until('meter', read, (one) => one !== undefined && one.at >= asked);
  return seen as Metered;
}

/** Processors that are busy with something else. */
export function busy(count: number): () => void {
  const spinners = Array.from({ length: count }, () => forked('spinner.cjs'));
  return () => {
    for (const one of spinners) one.kill();
  };
}

export async function startScene(folder: string): Promise<Scene> {
  // What a server does with a large answer is not taken for what another one's callers wait for.
  const backends = [forked('backend.ts'), forked('backend.ts'), forked('backend.ts')];
  const ports = await Promise.all(backends.map((one) => once(one, 'message') as Promise<[number]>));
  const [echo = '', passed = '', small = ''] = ports.map(([port]) => `127.0.0.1:${port}`);
  configure(folder, echo, passed, small);
  const { service, port } = await started(folder);
  const [sender, other] = [forked('sender.ts', port), forked('sender.ts', port)];
  // Where all share two processors, the sender of large bodies must not take the service's time.
  for (const { pid } of [sender, ...backends.slice(0, 2)]) {
    if (pid !== undefined) setPriority(pid, constants.priority.PRIORITY_LOW);
  }
  const answered = async (from: ChildProcess): Promise<SenderReport> =>
    ((await once(from, 'message')) as [SenderReport])[0];
  return {
    isAlive: () => service.exitCode === null && service.signalCode === null,
    metered: () => metered(folder, service),
    send: (order) => {
      sender.send(order);
      return answered(sender);
    },
    others: () => {
      other.send({ kind: 'call until told', path: '/v2/models/small/infer' });
      return async () => {
        const times = answered(other);
        other.send('over');
        return (await times).toSorted((a, b) => a - b);
      };
    },
    close: () => {
      for (const one of [service, ...backends, sender, other]) one.kill('SIGKILL');
    },
  };
}
