import type { ModelInput } from '../../lib/spec';
import type { Backend, Behave, Seen } from './backend';
import { json, startBackend } from './backend';
import type { Got, PlaneOptions, TestPlane } from './plane';
import { startPlane, until } from './plane';

// A router that joins requests, and model servers that double what they get.

export const V2 = '/v2/models/iris/infer';
export const V1 = '/v1/models/iris:predict';
export const NATIVE = '/api/v1/models/iris/inference';

export type Protocol = 'native' | 'v1' | 'v2' | 'tfs';

export const inputOf = (
  protocol: Protocol,
  inference: ModelInput['inference'] = {},
): Partial<ModelInput> => ({
  id: 'iris',
  framework: 'custom',
  image: 'registry.example.org/iris:1',
  server: { kind: 'custom', protocol },
  inference: { batching: { maxSize: 4, maxDelayMs: 1000, rowsIndependent: true }, ...inference },
});

/** Timers that go off when the test says so. */
export function createLater() {
  const waiting = new Set<() => void>();
  const later = (call: () => void): (() => void) => {
    waiting.add(call);
    return () => void waiting.delete(call);
  };
  const goOff = (): void => {
    const due = [...waiting];
    waiting.clear();
    for (const call of due) call();
  };
  return { later, goOff, waiting: () => waiting.size };
}

interface V2Body {
  readonly id?: string;
  readonly inputs: readonly {
    readonly shape: readonly number[];
    readonly data: readonly number[];
  }[];
}

/** `y = 2 x`, as a V2 server with this text layout writes it; −1 anywhere is refused. */
export const doublingV2: Behave = ({ url, body }) => {
  if (url === '/v2/models/iris') {
    const x = { name: 'x', datatype: 'FP64', shape: [-1, 2] };
    return json({ name: 'iris', inputs: [x], outputs: [] });
  }
  const { id, inputs } = JSON.parse(body.toString()) as V2Body;
  const { shape, data } = inputs[0] ?? { shape: [], data: [] };
  if (data.includes(-1)) return json({ error: 'negative' }, 400);
  const own = id === undefined ? '' : `"id": "${id}", `;
  const values = data.map((one) => (one * 2).toFixed(1)).join(', ');
  const text = `{${own}"outputs": [{"name": "y", "shape": [${shape.join(', ')}], "datatype": "FP64", "data": [${values}]}]}`;
  return { kind: 'answer', headers: { 'content-type': 'application/json' }, body: text };
};

/** The same in V1, pretty-printed as TensorFlow Serving does. */
export const doublingV1: Behave = ({ body }) => {
  const { instances } = JSON.parse(body.toString()) as { instances: { n: number }[] };
  if (instances.some(({ n }) => n === -1)) return json({ error: 'negative' }, 400);
  const rows = instances.map(({ n }) => `{\n  "n": ${(n * 2).toFixed(1)}\n }`).join(', ');
  const headers = { 'content-type': 'application/json' };
  return { kind: 'answer', headers, body: `{\n    "predictions": [${rows}\n    ]\n}` };
};

/** The same in native words; a bad item of a batch is an error of its own. */
export const doublingNative: Behave = ({ url, body }) => {
  const value = JSON.parse(body.toString()) as {
    readonly requests?: readonly { readonly input_data: { readonly n: number } }[];
    readonly input_data: { readonly n: number };
  };
  const one = ({ input_data: { n } }: typeof value) =>
    n === -1 ? { error: 'negative' } : { result: { n: n * 2 }, confidence: 0.5 };
  if (url.startsWith('/batch')) {
    return json({ results: (value.requests ?? []).map((item) => one(item)) });
  }
  const single = one(value);
  return json(single, 'error' in single ? 400 : 200);
};

export const v2Body = (...rows: readonly number[]): string =>
  `{"inputs": [{"name": "x", "datatype": "FP64", "shape": [${rows.length}, 1], "data": [${rows.join(', ')}]}]}`;
export const v1Body = (...rows: readonly number[]): string =>
  JSON.stringify({ instances: rows.map((n) => ({ n })) });
export const nativeBody = (n: number): string => JSON.stringify({ input_data: { n } });

export async function routed(
  protocol: Protocol,
  behave: Behave,
  { inference, ...options }: PlaneOptions & { readonly inference?: ModelInput['inference'] } = {},
) {
  const timers = createLater();
  const backend = await startBackend(behave);
  const plane = await startPlane({ later: timers.later, ...options });
  const input = inputOf(protocol, inference);
  plane.route({ input, ports: { stable: [backend.port] } });
  return { plane, backend, timers, input };
}

type On = Awaited<ReturnType<typeof routed>>;

/** Answers of requests that were asked together; a timer of ours lets those go that wait for more. */
export async function all(
  { plane, timers }: On,
  asked: readonly Promise<Got>[],
): Promise<readonly Got[]> {
  // None of them is there yet: they come in a later turn of the event loop.
  await arrived(plane, plane.outcomes.length + plane.load.active() + asked.length);
  timers.goOff();
  return Promise.all(asked);
}

/** So many requests are answered, or wait for others or for their answer. */
export function arrived(plane: TestPlane, count: number): Promise<void> {
  const there = (): number => plane.outcomes.length + plane.load.active();
  return until(() => there() >= count, `${count} requests are there`);
}

export const inferences = ({ seen }: Backend): readonly Seen[] =>
  seen.filter(({ method }) => method === 'POST');

export const clean = (plane: TestPlane): void => {
  expect(plane.load.active()).toBe(0);
  expect(plane.load.arms().map(({ inFlight, queued }) => [inFlight, queued])).toEqual(
    plane.load.arms().map(() => [0, 0]),
  );
  expect(plane.faults).toEqual([]);
};

/** The numbers in each call that a server got. */
export const rowsOf = (backend: Backend): readonly (readonly number[])[] =>
  inferences(backend).map(({ body }) => {
    const { instances, inputs } = JSON.parse(body.toString()) as Partial<V2Body> & {
      readonly instances?: readonly { readonly n: number }[];
    };
    return instances?.map(({ n }) => n) ?? inputs?.[0]?.data ?? [];
  });
