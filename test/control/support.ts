import type { AddressInfo } from 'node:net';
import type { Server } from 'node:http';
import { once } from 'node:events';
import { parseConfig } from '../../runtime/app/config';
import { parseEnvironment, parseModel } from '../../lib/spec';
import type { AuditEntry } from '../../runtime/audit';
import { NO_AUDIT } from '../../runtime/audit';
import type { Authenticate } from '../../runtime/auth';
import { createAuthenticate } from '../../runtime/auth';
import { loadOfStats } from '../support/load';
import type { MemoryCluster, MemoryOptions } from '../support/memory-cluster';
import { createMemoryCluster } from '../support/memory-cluster';
import type { Cluster } from '../../runtime/cluster/port';
import type { Control, ControlOptions } from '../../runtime/control';
import { createControl } from '../../runtime/control';
import type { ArmStats } from '../../runtime/core/routing/load';
import type { TableHolder } from '../../runtime/core/routing/table';
import { EMPTY_TABLE } from '../../runtime/core/routing/table';
import { createMetrics } from '../../runtime/metrics';

export const T0 = Date.UTC(2026, 0, 1);

/** A service on a memory cluster, listening on real ports, with a clock that only tests move. */
export interface Service {
  readonly cluster: MemoryCluster;
  readonly control: Control;
  readonly table: TableHolder;
  readonly url: string;
  readonly opsUrl: string;
  readonly audit: AuditEntry[];
  readonly logged: { readonly fields: object; readonly message: string }[];
  readonly stats: ArmStats[];
  readonly clock: { at: number };
  readonly close: () => Promise<void>;
}

export interface ServiceOptions {
  readonly replicasOf?: MemoryOptions['replicasOf'];
  readonly authenticate?: Authenticate;
  /** Lays something over the cluster. */
  readonly wrap?: (cluster: MemoryCluster) => Cluster;
  readonly more?: Partial<ControlOptions>;
  readonly config?: string;
  /** Before `start`: nothing has been read yet. */
  readonly unstarted?: boolean;
}

export async function listen(app: Control['app']): Promise<readonly [Server, string]> {
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return [server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`];
}

export async function serve(options: ServiceOptions = {}): Promise<Service> {
  const clock = { at: T0 };
  const now = (): number => clock.at;
  const { replicasOf } = options;
  const cluster = createMemoryCluster({ now, ...(replicasOf && { replicasOf }) });
  const table: TableHolder = { current: EMPTY_TABLE };
  const audit: AuditEntry[] = [];
  const logged: Service['logged'][number][] = [];
  const stats: ArmStats[] = [];
  const log = (message: string, fields: object = {}): void => void logged.push({ fields, message });
  const control = createControl({
    cluster: options.wrap?.(cluster) ?? cluster,
    table,
    load: loadOfStats(stats, () => stats.length),
    config: parseConfig(options.config ?? ''),
    environment: parseEnvironment({}),
    authenticate:
      options.authenticate ??
      createAuthenticate({ mode: 'none', keys: [] }, { loopback: true }).authenticate,
    audit: {
      ...NO_AUDIT,
      record: (entry) => void audit.push(entry),
      recordSoon: (entry) => void audit.push(entry),
    },
    metrics: createMetrics(),
    clock: { now },
    log: { info: log, warn: log, error: log },
    version: '0.1.0-test',
    lagMs: () => 1.5,
    ...options.more,
  });
  if (options.unstarted !== true) control.start();
  const [server, url] = await listen(control.app);
  const [ops, opsUrl] = await listen(control.opsApp);
  const close = async (): Promise<void> => {
    control.stop();
    for (const one of [server, ops]) {
      one.close();
      one.closeAllConnections();
      await once(one, 'close');
    }
  };
  return { cluster, control, table, url, opsUrl, audit, logged, stats, clock, close };
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  // Tests look into answers of many shapes.
  readonly body: Record<string, unknown> & { readonly [key: string]: unknown };
}

/** A JSON request as a client makes it. */
export async function ask(
  url: string,
  method = 'GET',
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Reply> {
  const response = await fetch(url, {
    method,
    ...(body !== undefined && { body: JSON.stringify(body) }),
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
  });
  const text = await response.text();
  const parsed = text === '' ? {} : (JSON.parse(text) as Reply['body']);
  return { status: response.status, headers: response.headers, body: parsed };
}

/** The smallest definition, with whatever a test is about. */
export const iris = (more: object = {}): Record<string, unknown> => ({
  model_id: 'iris',
  version: 'v1',
  framework: 'onnx',
  repository_url: 's3://models/iris.onnx',
  ...more,
});

export const withCandidate = (more: object = {}): Record<string, unknown> =>
  iris({
    scaling_config: { min_replicas: 2, max_replicas: 2 },
    candidates: [{ name: 'next', version: 'v2', traffic: 10, ...more }],
  });

/** Puts a model into the cluster without going through REST. */
export async function place(
  { cluster }: Pick<Service, 'cluster'>,
  definition: object,
  manager = 'rest',
): Promise<number> {
  const spec = parseModel(definition);
  const { revision } = await cluster.apply(spec, { by: 'test', manager, force: true });
  return revision;
}

export const codeOf = ({ body }: Reply): unknown =>
  (body['error'] as { code?: unknown } | undefined)?.code;

export const detailsOf = ({ body }: Reply): Record<string, string>[] =>
  (body['error'] as { details: Record<string, string>[] }).details;
