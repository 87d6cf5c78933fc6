import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { commandOf } from '../../../lib/objects/command';
import { factsOf } from '../../../lib/objects/context';
import { layoutOf } from '../../../lib/objects/layout';
import { configFiles } from '../../../lib/objects/serverconfig';
import type { ModelSpec } from '../../../lib/spec';
import { parseEnvironment } from '../../../lib/spec';
import { call, until } from '../service';
import type { Process } from './processes';
import { begin, freePorts } from './processes';

const START_MS = 120_000;

/** A server of others that runs here. */
export interface Replica extends Process {
  readonly address: string;
  readonly url: string;
  readonly metricsUrl: string;
}

export interface ReplicaOptions {
  readonly folder: string;
  /** Answers 200 when the model is loaded. */
  readonly readyPath: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Where the router expects it. Default: any. */
  readonly port?: number | undefined;
  /** First its HTTP port, then that of gRPC, then that of metrics. */
  readonly command: (ports: readonly number[]) => readonly string[];
}

/** Starts a server and waits until its model is loaded; what it said is in the error if it is not. */
export async function startReplica(options: ReplicaOptions): Promise<Replica> {
  const [free = 0, grpcPort = 0, metricsPort = 0] = await freePorts(3);
  const http = options.port ?? free;
  const ports = [http, grpcPort, metricsPort];
  mkdirSync(options.folder, { recursive: true });
  const server = begin(options.command(ports), { cwd: options.folder, env: options.env });
  const url = `http://127.0.0.1:${http}`;
  const isReady = async (): Promise<boolean> => {
    if (server.isGone()) throw new Error('it ended at its start');
    return call(url + options.readyPath, 'GET').then(
      ({ status }) => status === 200,
      () => false,
    );
  };
  await until('the model is loaded', isReady, Boolean, START_MS).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${server.log()}`);
  });
  return {
    ...server,
    url,
    address: `127.0.0.1:${http}`,
    metricsUrl: `http://127.0.0.1:${metricsPort}`,
  };
}

/** The ready path that the manifest of a model probes, with its id in it. */
export function readyPathOf(spec: ModelSpec): string {
  const { ready } = factsOf(spec, spec.arms[0]);
  if (!('http' in ready)) throw new Error(`${spec.id} has no ready path`);
  return ready.http.replace('{m}', spec.id);
}

/**
 * The command line and the files of a server exactly as they are in its pod, but for the place (a
 * folder instead of `/models`), the ports and the address: several of them share one machine.
 */
export function asRendered(
  spec: ModelSpec,
  folder: string,
  artifact: Buffer,
): (ports: readonly number[]) => readonly string[] {
  const [arm] = spec.arms;
  const facts = factsOf(spec, arm);
  return (ports) => {
    const known = [facts.httpPort, facts.grpcPort, facts.metrics.port];
    const place = (text: string): string =>
      known
        .reduce<string>(
          (all, port, at) => all.replace(new RegExp(`\\b${port}\\b`, 'g'), String(ports[at])),
          text.replaceAll('0.0.0.0', '127.0.0.1'),
        )
        .replaceAll('/models', join(folder, 'models'));
    const write = (path: string, content: string | Buffer): void => {
      mkdirSync(dirname(place(path)), { recursive: true });
      writeFileSync(place(path), content);
    };
    const layout = layoutOf(spec, arm);
    write(`${layout.folder}/${layout.file ?? 'model'}`, artifact);
    for (const { path, content } of configFiles(spec, arm)) write(path, place(content));
    const { command = [], args = [] } = commandOf(spec, arm, parseEnvironment());
    return [...command, ...args].map(place);
  };
}
