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

/** Milliseconds of small calls that were made at the same time, sorted. */
export interface OthersTimes {
  /** To the service that gets the large bodies, too. */
  readonly loaded: readonly number[];
  /**
   * To a second service on the same machine that gets nothing else. Large bodies also cost their
   * sender and the kernel processor time, which both services miss alike.
   */
  readonly quiet: readonly number[];
}

/** Two services, model servers and callers: each a process. */
export interface Scene {
  readonly isAlive: () => boolean;
  readonly metered: () => Promise<Metered>;
  readonly send: (order: SenderOrder) => Promise<SenderReport>;
  /** Other callers call until this is called. @returns milliseconds of their calls, sorted */
  readonly others: () => () => Promise<OthersTimes>;
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

interface Started {
  readonly service: ChildProcess;
  readonly port: string;
}

async function started(folder: string): Promise<Started> {
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

const answered = async (from: ChildProcess): Promise<SenderReport> =>
  ((await once(from, 'message')) as [SenderReport])[0];

type Over = () => Promise<readonly number[]>;

/** Starts calls. @returns ends them, with the milliseconds of each, sorted */
function calling(from: ChildProcess): Over {
  from.send({ kind: 'call until told', path: '/v2/models/small/infer' });
  return async () => {
    const times = answered(from);
    from.send('over');
    return (await times).toSorted((a, b) => a - b);
  };
}

/** @param folders of the service that gets the bodies, and of the one that does not */
export async function startScene(folder: string, quietFolder: string): Promise<Scene> {
  // What a server does with a large answer is not taken for what another one's callers wait for.
  const backends = [forked('backend.ts'), forked('backend.ts'), forked('backend.ts')];
  const ports = await Promise.all(backends.map((one) => once(one, 'message') as Promise<[number]>));
  const [echo = '', passed = '', small = ''] = ports.map(([port]) => `127.0.0.1:${port}`);
  for (const one of [folder, quietFolder]) configure(one, echo, passed, small);
  const [{ service, port }, quiet] = await Promise.all([started(folder), started(quietFolder)]);
  const sender = forked('sender.ts', port);
  const callers = [forked('sender.ts', port), forked('sender.ts', quiet.port)] as const;
  // Where all share two processors, the sender of large bodies must not take the services' time.
  for (const { pid } of [sender, ...backends.slice(0, 2)]) {
    if (pid !== undefined) setPriority(pid, constants.priority.PRIORITY_LOW);
  }
  return {
    isAlive: () => service.exitCode === null && service.signalCode === null,
    metered: () => metered(folder, service),
    send: (order) => {
      sender.send(order);
      return answered(sender);
    },
    others: () => {
      const [overLoaded, overQuiet] = callers.map(calling) as [Over, Over];
      return async () => {
        const [loaded, none] = await Promise.all([overLoaded(), overQuiet()]);
        return { loaded, quiet: none };
      };
    },
    close: () => {
      for (const one of [service, quiet.service, ...backends, sender, ...callers]) {
        one.kill('SIGKILL');
      }
    },
  };
}
