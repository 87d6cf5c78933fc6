import type { IncomingHttpHeaders } from 'node:http';
import { request } from 'node:http';
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import type { ModelInput } from '../../lib/spec';
import type { AuditEntry, PayloadSampler } from '../../runtime/audit';
import type { Authenticate, Caller } from '../../runtime/auth/port';
import { buildTable } from '../../runtime/core/routing/build-table';
import type { Load } from '../../runtime/core/routing/load';
import type { Outcome } from '../../runtime/core/routing/outcome';
import type { ReplicaRecord } from '../../runtime/core/lifecycle/snapshot';
import type { TableHolder } from '../../runtime/core/routing/table';
import { EMPTY_TABLE } from '../../runtime/core/routing/table';
import type { Tuning } from '../../runtime/core/routing/tuning';
import { DEFAULT_TUNING } from '../../runtime/core/routing/tuning';
import type {
  CallerLimits,
  ClientOptions,
  DataPlane,
  ExtraHeaders,
  BatchReport,
  DataPlaneLimits,
  ShadowReport,
} from '../../runtime/data';
import type { Exchange } from '../../runtime/data/http/exchange';
import {
  createDataPlane,
  createDispatcher,
  createHttpClient,
  createManagement,
  DEFAULT_CALLER_LIMITS,
  DEFAULT_LIMITS,
  openHttpServer,
} from '../../runtime/data';
import type { ConnectionsByAddress } from '../../runtime/data';
import type { ServerAddress } from '../../runtime/data/http/client/client';
import type { LargeThread } from '../../runtime/data/thread/large-thread';
import type { HeldBytes } from '../../runtime/shared/held-bytes';
import { DEFAULT_CLIENT } from '../../runtime/data/http/client/client';
import { recordOf, snapshotOf } from '../core/support';

/** A model and where its replicas are: arm → ports. */
export interface Placed {
  readonly input: Partial<ModelInput>;
  readonly ports: Readonly<Record<string, readonly number[]>>;
  readonly deleting?: boolean;
  /** Deadline of a request, where the second that a definition may ask for is long to wait. */
  readonly timeoutMs?: number;
  /** What a port runs while its arm rolls; the arm's version unless said. */
  readonly runs?: Readonly<Record<number, string>>;
  /** Of the replicas; 127.0.0.1 unless said. */
  readonly host?: string;
}

export interface Got {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
  readonly text: string;
}

export interface Asking {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
  readonly signal?: AbortSignal;
}

/** A router with a real data plane on a real port. */
export interface TestPlane {
  readonly port: number;
  /** What other ways in than HTTP answer from. */
  readonly data: DataPlane;
  readonly table: TableHolder;
  readonly load: Load;
  readonly outcomes: readonly Outcome[];
  readonly shadows: readonly ShadowReport[];
  readonly joined: readonly BatchReport[];
  readonly faults: readonly unknown[];
  /** To be called after somebody else swapped the table. */
  readonly onTableSwap: () => void;
  /** Swaps the whole table. */
  readonly route: (...models: readonly Placed[]) => void;
  readonly ask: (path: string, asking?: Asking) => Promise<Got>;
  readonly post: (path: string, body: unknown, headers?: Asking['headers']) => Promise<Got>;
  readonly close: () => Promise<void>;
}

const EVERYONE: Caller = { name: 'test', scopes: ['admin'] };
export const OPEN: Authenticate = () => ({ ok: true, caller: EVERYONE });

/** On a machine whose cores are busy everything takes long; below the limit of a test, for its words. */
const IN_VAIN_MS = 20_000;
/** A handshake on this machine succeeds or fails, but a process that stands still sees it late. */
const CONNECT_MS = 10_000;

/** Resolves as soon as it holds; fails with the words given when it never does. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  for (const end = Date.now() + IN_VAIN_MS; !holds();) {
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 2);
    });
  }
}

function recordsOf({
  input,
  ports,
  runs,
  timeoutMs,
  deleting = false,
  host = '127.0.0.1',
}: Placed) {
  const bare = recordOf({ input, record: { deleting } });
  const replicas = bare.spec.arms.flatMap(({ name, version }) =>
    (ports[name] ?? []).map((port): ReplicaRecord => ({
      id: `${name}-${port}`,
      arm: name,
      version: runs?.[port] ?? version,
      host,
      port,
      phase: 'ready',
      restarts: 0,
      since: 0,
    })),
  );
  if (timeoutMs === undefined) return { ...bare, replicas };
  const inference = { ...bare.spec.inference, timeoutSeconds: timeoutMs / 1000 };
  return { ...bare, spec: { ...bare.spec, inference }, replicas };
}

export function ask(port: number, path: string, asking: Asking = {}): Promise<Got> {
  const { method = asking.body === undefined ? 'GET' : 'POST', headers, body, signal } = asking;
  return new Promise((resolve, reject) => {
    const sent = request(
      { host: '127.0.0.1', port, path, method, headers, signal, agent: false },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () => {
          const whole = Buffer.concat(chunks);
          const { statusCode = 0, headers: named, rawHeaders } = answer;
          const text = whole.toString('utf8');
          // A connection that its server resets later would keep the event loop turning.
          sent.destroy();
          resolve({ status: statusCode, headers: named, rawHeaders, body: whole, text });
        });
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

/** Sends bytes as they are; all that came until the connection ended. */
export function sendRaw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const socket: Socket = connect(port, '127.0.0.1', () => socket.write(bytes, 'latin1'));
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')));
  });
}

const running = new Set<TestPlane>();

/** Ends all that tests started; for `afterEach`. */
export async function stopPlanes(): Promise<void> {
  await Promise.all([...running].map((one) => one.close()));
}

/** Headers of callers and servers of tests that pass beside those of the lists. */
const TEST_HEADERS: ExtraHeaders = {
  toServers: ['x-own', 'x-kept', 'x-tenant'],
  toCallers: ['x-own', 'x-kept'],
};

export interface PlaneOptions {
  readonly extraHeaders?: ExtraHeaders;
  readonly authenticate?: Authenticate;
  readonly trustedProxies?: readonly string[];
  readonly random?: () => number;
  /** Joined calls are compared with single ones, as in life. */
  readonly comparesJoined?: boolean;
  readonly isReady?: () => boolean;
  readonly tuning?: Partial<Tuning>;
  readonly limits?: Partial<DataPlaneLimits>;
  readonly onHeld?: (model: string, arm: string) => void;
  readonly audit?: (entry: AuditEntry) => void;
  readonly payload?: PayloadSampler;
  /** Timers of the data plane alone: how long requests wait for others. */
  readonly later?: (call: () => void, ms: number) => () => void;
  readonly callers?: Partial<CallerLimits>;
  readonly client?: Partial<ClientOptions>;
  /** Memory for all requests, and connections by address; without a bound unless given. */
  readonly held?: HeldBytes;
  /** Where what is large is understood. */
  readonly thread?: LargeThread;
  readonly connections?: ConnectionsByAddress;
  /** Where a management app listens; without one every path is the data plane's. */
  readonly management?: ServerAddress;
  /** Address to listen on. */
  readonly host?: string;
}

/** As the composition root does it: inference to the data plane, the rest to the app behind. */
function handlerOf(plane: DataPlane, { management }: PlaneOptions) {
  if (management === undefined) return { handle: plane.handle, close: () => undefined };
  const client = createHttpClient();
  const manage = createManagement({ client, place: management, plane: plane.plane });
  const handle = (exchange: Exchange): Promise<void> | void =>
    plane.matches(exchange.path) ? plane.handle(exchange) : manage(exchange);
  return { handle, close: client.close };
}

export async function startPlane(options: PlaneOptions = {}): Promise<TestPlane> {
  const table: TableHolder = { current: EMPTY_TABLE };
  const outcomes: Outcome[] = [];
  const shadows: ShadowReport[] = [];
  const joined: BatchReport[] = [];
  const faults: unknown[] = [];
  const random = options.random ?? Math.random;
  const clock = {
    now: Date.now,
    setTimeout: (call: () => void, ms: number) => {
      const timer = setTimeout(call, ms);
      return () => clearTimeout(timer);
    },
  };
  const onOutcome = (outcome: Outcome): void => void outcomes.push(outcome);
  const { dispatcher, load, onTableSwap } = createDispatcher({
    table,
    clock,
    random,
    onOutcome,
    onHeld: options.onHeld,
    tuning: { ...DEFAULT_TUNING, ...options.tuning },
  });
  const client = { ...DEFAULT_CLIENT, connectMs: CONNECT_MS, ...options.client };
  const upstream = createHttpClient(client);
  let ids = 0;
  const plane = createDataPlane({
    table,
    dispatcher,
    upstream,
    clock: { ...clock, ...(options.later && { setTimeout: options.later }) },
    random,
    authenticate: options.authenticate ?? OPEN,
    newId: () => `id-${(ids += 1)}`,
    trustedProxies: options.trustedProxies ?? [],
    extraHeaders: options.extraHeaders ?? TEST_HEADERS,
    version: '1.2.3',
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    held: options.held,
    thread: options.thread,
    isReady: options.isReady ?? (() => true),
    audit: options.audit,
    payload: options.payload,
    onBatch: () => undefined,
    onShadow: (report) => shadows.push(report),
    onJoined: (one) => joined.push(one),
    mayCompare: () => options.comparesJoined === true,
    onFault: (_id, error) => faults.push(error),
  });
  const { handle, close } = handlerOf(plane, options);
  const server = await openHttpServer({
    host: options.host ?? '127.0.0.1',
    port: 0,
    maxConnections: 10_000,
    held: options.held,
    callers: options.connections,
    limits: { ...DEFAULT_CALLER_LIMITS, ...options.callers },
    handle,
    refuse: plane.refuse,
  });
  const { port } = server;
  let generation = 0;
  const made: TestPlane = {
    port,
    data: plane,
    table,
    load,
    outcomes,
    shadows,
    joined,
    faults,
    onTableSwap,
    route: (...models) => {
      generation += 1;
      table.current = buildTable(snapshotOf(...models.map(recordsOf)), generation);
      onTableSwap();
    },
    ask: (path, asking) => ask(port, path, asking),
    post: (path, body, headers) =>
      ask(port, path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    close: async () => {
      running.delete(made);
      await server.close(0);
      upstream.close();
      close();
    },
  };
  running.add(made);
  return made;
}
