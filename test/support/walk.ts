import type { Profiler } from 'node:inspector';
import { Session } from 'node:inspector';
import { Socket } from 'node:net';
import { join, relative } from 'node:path';
import { openHttpServer } from '../../runtime/data';
import { json, startBackend, stopBackends } from './backend';
import type { Placed } from './plane';
import { ask, startPlane, stopPlanes } from './plane';

// The path of one request in files and frames, between its parsed head and the first byte to the
// server: files of which a function runs (V8's precise coverage), and frames of the router on the
// stack at that byte, from the data plane on. Each call is made a few times before, so that nothing
// is loaded or cached on the way.

const RUNTIME = join(__dirname, '..', '..', 'runtime');
/** More than any stack of the router has. */
const MAX_FRAMES = 500;
const WARM_UP = 5;

/** Paths below runtime/, and lines of a stack. */
export interface Walk {
  readonly files: readonly string[];
  readonly frames: readonly string[];
}

export interface WalkedCall {
  readonly name: string;
  readonly input: Placed['input'];
  readonly path: string;
  readonly body: object;
  /** The server's answer to so many rows. */
  readonly answer: (rows: number) => object;
  /** Requests at the same time. */
  readonly together?: number;
}

const custom = (protocol: 'v2' | 'native' | 'openai') =>
  ({ server: { kind: 'custom', protocol } }) as const;
const V2 = {
  path: '/v2/models/iris/infer',
  body: { inputs: [{ name: 'x', shape: [1, 1], datatype: 'FP32', data: [1] }] },
  answer: (rows: number) => {
    const data = Array.from({ length: rows }, () => 2);
    return { outputs: [{ name: 'y', shape: [rows, 1], datatype: 'FP32', data }] };
  },
};
const NATIVE = { body: { input_data: { n: 1 } }, answer: () => ({ result: 2 }) };
const CHAT = { model: 'iris', messages: [{ role: 'user', content: 'hi' }] };
const batching = { maxSize: 2, maxDelayMs: 1000, rowsIndependent: true };

export const WALKED_CALLS: readonly WalkedCall[] = [
  { name: 'V2', input: custom('v2'), ...V2 },
  {
    name: 'native',
    input: custom('native'),
    path: '/api/v1/models/iris/inference',
    ...NATIVE,
  },
  {
    name: 'OpenAI',
    input: custom('openai'),
    path: '/openai/v1/chat/completions',
    body: CHAT,
    answer: () => ({ choices: [] }),
  },
  {
    name: 'native batch',
    input: custom('native'),
    path: '/api/v1/models/iris/batch_inference',
    body: { requests: [NATIVE.body, NATIVE.body] },
    answer: () => ({ results: [NATIVE.answer(), NATIVE.answer()] }),
  },
  {
    name: 'V2, batched by the router',
    input: { ...custom('v2'), inference: { batching } },
    ...V2,
    together: 2,
  },
];

/** Loaders give access to what a module exports by such functions: `() => name`. */
function isExport({ functionName, ranges: [whole] }: Profiler.FunctionCoverage): boolean {
  const { startOffset = 0, endOffset = 0 } = whole ?? {};
  const length = endOffset - startOffset;
  return functionName === 'get' || length <= `() => ${functionName}`.length;
}

/** The files whose functions have run since the last call. */
function takeFiles(session: Session): readonly string[] {
  let files: readonly string[] = [];
  session.post('Profiler.takePreciseCoverage', (error, taken) => {
    if (error !== null) throw error;
    const { result } = taken as Profiler.TakePreciseCoverageReturnType;
    const hasRun = ({ functions }: Profiler.ScriptCoverage): boolean =>
      functions.some((one) => !isExport(one) && one.ranges.some(({ count }) => count > 0));
    const paths = result.filter(hasRun).map(({ url }) => url.replace('file://', ''));
    files = paths.filter((path) => path.startsWith(RUNTIME));
  });
  return files.map((path) => relative(RUNTIME, path)).toSorted();
}

/** The walk up to the next byte to this port. */
function nextWalk(session: Session, port: number): Promise<Walk> {
  return new Promise((resolve) => {
    const { write } = Socket.prototype;
    Socket.prototype.write = function watched(this: Socket, ...given: unknown[]): boolean {
      if (this.remotePort === port) {
        Socket.prototype.write = write;
        const [, own = ''] = (new Error().stack ?? '').split(__filename);
        const frames = own.split('\n').filter((line) => line.includes(RUNTIME));
        resolve({ files: takeFiles(session), frames });
      }
      return Reflect.apply(write, this, given) as boolean;
    };
  });
}

function observer(): Session {
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
  return session;
}

/** Sends the call through a router, and ends all planes and backends. */
export async function walkOf(call: WalkedCall): Promise<Walk> {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = MAX_FRAMES;
  const session = observer();
  try {
    return await walkWith(session, call);
  } finally {
    session.disconnect();
    Error.stackTraceLimit = stackTraceLimit;
    await stopPlanes();
    await stopBackends();
  }
}

async function walkWith(
  session: Session,
  { input, path, body, answer, together = 1 }: WalkedCall,
): Promise<Walk> {
  const backend = await startBackend(({ body: sent }) =>
    json(answer(sent.includes('"shape":[2') ? 2 : 1)),
  );
  const plane = await startPlane({ audit: () => undefined });
  plane.route({ input, ports: { stable: [backend.port] } });
  let seen = 0;
  const { port, close } = await openHttpServer({
    host: '127.0.0.1',
    port: 0,
    maxConnections: 100,
    refuse: plane.data.refuse,
    handle: (exchange) => {
      seen += 1;
      // Requests that are sent together: the path of the last one.
      if (seen % together === 0) takeFiles(session);
      plane.data.handle(exchange);
    },
  });
  const text = JSON.stringify(body);
  const headers = { 'content-type': 'application/json' };
  const send = () =>
    Promise.all(Array.from({ length: together }, () => ask(port, path, { headers, body: text })));
  for (let round = 0; round < WARM_UP; round += 1) {
    const answers = await send();
    if (answers.some(({ status }) => status !== 200)) throw new Error(answers[0]?.text);
  }
  const walk = nextWalk(session, backend.port);
  await send();
  await close(0);
  return walk;
}
