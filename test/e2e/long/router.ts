import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { ROOT } from '../../support/sources';
import type { Answer } from '../service';
import { call, until } from '../service';
import { begin, freePorts } from './processes';

interface ArmSeen {
  readonly ready: number;
  readonly traffic: number;
}

interface Status {
  readonly arms?: readonly {
    readonly name: string;
    readonly traffic: number;
    readonly replicas: { readonly ready: number };
  }[];
}

export interface Router {
  readonly url: string;
  readonly grpcPort: number;
  readonly log: () => string;
  readonly call: (method: string, path: string, body?: unknown) => Promise<Answer>;
  /** Waits until an arm is as it should be: replicas that answer their probe, percent of traffic. */
  readonly arm: (model: string, arm: string, wanted: Partial<ArmSeen>) => Promise<void>;
}

export interface RouterOptions {
  readonly folder: string;
  readonly definitions: readonly { readonly id: string }[];
  /** Model → arm → addresses of its replicas; some may not run yet. */
  readonly endpoints: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
}

/** The built service in front of servers that somebody else runs. */
export async function startRouter(options: RouterOptions): Promise<Router> {
  const folder = join(options.folder, 'router');
  mkdirSync(join(folder, 'models'), { recursive: true });
  for (const one of options.definitions) {
    writeFileSync(join(folder, 'models', `${one.id}.json`), JSON.stringify(one));
  }
  const [port = 0, grpcPort = 0] = await freePorts(2);
  const { endpoints } = options;
  const config = { server: { port, grpc_port: grpcPort, accept_seconds: 0 }, local: { endpoints } };
  writeFileSync(join(folder, 'config.yaml'), stringify(config));
  const bin = join(ROOT, 'build', 'bin.cjs');
  const router = begin([process.execPath, bin, '--config', 'config.yaml'], { cwd: folder });
  const url = `http://127.0.0.1:${port}`;
  const status = async (model: string): Promise<unknown> => {
    if (router.isGone()) throw new Error(`the router ended:\n${router.log()}`);
    return call(`${url}/api/v1/models/${model}/status`, 'GET').then(
      (answer): unknown => answer.json(),
      () => undefined,
    );
  };
  return {
    url,
    grpcPort,
    log: router.log,
    call: (method, path, body) => call(url + path, method, body),
    arm: async (model, arm, wanted) => {
      const isSo = (seen: unknown): boolean => {
        const found = (seen as Status | undefined)?.arms?.find(({ name }) => name === arm);
        if (found === undefined) return false;
        const { ready = found.replicas.ready, traffic = found.traffic } = wanted;
        return found.replicas.ready === ready && found.traffic === traffic;
      };
      await until(`${model} ${arm} ${JSON.stringify(wanted)}`, () => status(model), isSo, 60_000);
    },
  };
}
