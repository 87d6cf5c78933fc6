import type { Backend, Behave } from '../../support/backend';
import { json, startBackend, stopBackends } from '../../support/backend';
import type { Placed, PlaneOptions } from '../../support/plane';
import { startPlane, stopPlanes, until } from '../../support/plane';

// Where the items of a batch go, and what becomes of them when replicas die.

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

const BATCH = '/api/v1/models/iris/batch_inference';

interface Item {
  readonly input_data: { readonly n: number };
}

const itemsOf = (numbers: readonly number[]): readonly Item[] =>
  numbers.map((n) => ({ input_data: { n } }));
const upTo = (count: number): readonly number[] => Array.from({ length: count }, (_, n) => n);

const resultOf = ({ input_data: { n } }: Item): object =>
  n < 0 ? { error: 'negative' } : { result: n * 2 };

/** Doubles each; a bad one is an error of its own. */
const doubling: Behave = ({ url, body }) => {
  const value = JSON.parse(body.toString()) as Item & { readonly requests?: readonly Item[] };
  if (!url.startsWith('/batch')) return json(resultOf(value), value.input_data.n < 0 ? 400 : 200);
  return json({ results: (value.requests ?? []).map(resultOf) });
};

/** As it, but a bad item spoils the call it is in. */
const spoiled: Behave = (seen, nth) =>
  /"n":-/.test(seen.body.toString()) ? json({ error: 'negative' }, 400) : doubling(seen, nth);

const dying: Behave = () => ({ kind: 'reset' });

type Arms = Readonly<Record<string, readonly Behave[]>>;

async function routed(arms: Arms, input: Placed['input'] = {}, options: PlaneOptions = {}) {
  const backends: Record<string, readonly Backend[]> = {};
  for (const [arm, behaves] of Object.entries(arms)) {
    backends[arm] = await Promise.all(behaves.map((behave) => startBackend(behave)));
  }
  const plane = await startPlane(options);
  const ports = Object.fromEntries(
    Object.entries(backends).map(([arm, all]) => [arm, all.map(({ port }) => port)]),
  );
  plane.route({ input: { id: 'iris', ...input }, ports });
  return { plane, backends };
}

/** Numbers of the items in each call that a server got. */
const sentTo = ({ seen }: Backend): readonly (readonly number[])[] =>
  seen.map(({ body }) => {
    const value = JSON.parse(body.toString()) as { readonly requests?: readonly Item[] };
    return (value.requests ?? []).map(({ input_data: { n } }) => n);
  });

interface Answer {
  readonly succeeded: number;
  readonly failed: number;
  readonly results: readonly {
    readonly output_data?: unknown;
    readonly model_version?: string;
    readonly error?: { readonly code: string };
  }[];
}

const bodyOf = ({ text }: { readonly text: string }) => JSON.parse(text) as Answer;

test.each([
  ['is an error of its own', doubling],
  ['spoils the call it is in', spoiled],
])(
  'a batch of 64, a replica dies, and each of 3 bad items %s: 61 results, 3 errors',
  async (_, behave) => {
    const { plane } = await routed(
      { stable: [behave, dying, behave, behave] },
      { inference: { maxBatchSize: 64, maxConcurrency: 16 } },
    );
    const numbers = upTo(64).map((n) => (n % 21 === 5 ? -1 : n));
    const got = bodyOf(await plane.post(BATCH, { requests: itemsOf(numbers) }));
    expect([got.succeeded, got.failed]).toEqual([61, 3]);
    expect(got.results.map(({ output_data: output }) => output)).toEqual(
      numbers.map((n) => (n < 0 ? undefined : n * 2)),
    );
    expect(plane.load.active()).toBe(0);
    expect(plane.load.arms()[0]?.inFlight).toBe(0);
  },
);

test('only the items of a replica that dies are sent again, to another replica', async () => {
  const { plane, backends } = await routed({ stable: [doubling, dying, doubling] });
  const got = bodyOf(await plane.post(BATCH, { requests: itemsOf(upTo(9)) }));
  expect(got.succeeded).toBe(9);
  const [first = [], lost = [], third = []] = (backends['stable'] ?? []).map(sentTo);
  expect(lost).toEqual([[3, 4, 5]]);
  expect([...first, ...third]).toHaveLength(3);
  expect([...first, ...third].flat().toSorted((a, b) => a - b)).toEqual(upTo(9));
});

test('when the second replica dies, too, only the items of that chunk are errors', async () => {
  const { plane } = await routed({ stable: [doubling, doubling] });
  const fatal: Behave = (seen, nth) =>
    seen.body.includes('"n":7') ? { kind: 'reset' } : doubling(seen, nth);
  const backends = await Promise.all([fatal, fatal].map((behave) => startBackend(behave)));
  plane.route({ input: { id: 'iris' }, ports: { stable: backends.map(({ port }) => port) } });
  const got = bodyOf(await plane.post(BATCH, { requests: itemsOf(upTo(8)) }));
  expect([got.succeeded, got.failed]).toEqual([4, 4]);
  expect(got.results.slice(4).map(({ error }) => error?.code)).toEqual(
    Array(4).fill('UPSTREAM_ERROR'),
  );
  // Each of the two was asked for the chunk once; that a kept connection broke at once is no try, for
  // it may have been closed before the request came.
  const asked = backends.map((one) => sentTo(one).filter((items) => items.includes(7)).length);
  expect(Math.min(...asked)).toBe(1);
  expect(Math.max(...asked)).toBeLessThanOrEqual(2);
});

test('a replica with more free slots gets more items', async () => {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const held: Behave = async (seen, nth) => {
    if (seen.url.startsWith('/inference')) await opened;
    return doubling(seen, nth);
  };
  const { plane, backends } = await routed(
    { stable: [held, held] },
    { inference: { maxConcurrency: 2 } },
  );
  const all = backends['stable'] ?? [];
  const single = plane.post('/api/v1/models/iris/inference', { input_data: { n: 1 } });
  await until(() => all.some(({ seen }) => seen.length === 1), 'one of them is busy');
  const busy = all.findIndex(({ seen }) => seen.length === 1);
  const got = bodyOf(await plane.post(BATCH, { requests: itemsOf(upTo(9)) }));
  expect(got.succeeded).toBe(9);
  const sizes = all.map((one) => sentTo(one).map(({ length }) => length));
  expect([sizes[busy]?.at(-1), sizes[1 - busy]]).toEqual([3, [6]]);
  open();
  expect((await single).status).toBe(200);
});

test('only the replicas of its own arm count, and none of its items goes to another', async () => {
  const candidates = [{ name: 'next', version: 'v2', source: './b.onnx', traffic: 50 }];
  const { plane, backends } = await routed(
    { stable: [doubling, doubling, doubling], next: [doubling] },
    { candidates, inference: { maxConcurrency: 1 } },
  );
  for (let round = 0; round < 10; round += 1) {
    const got = bodyOf(await plane.post(BATCH, { requests: itemsOf(upTo(6)) }));
    expect(new Set(got.results.map(({ model_version: version }) => version)).size).toBe(1);
  }
  const sizes = (backends['next'] ?? []).flatMap(sentTo).map(({ length }) => length);
  expect(sizes.length).toBeGreaterThan(0);
  expect(new Set(sizes)).toEqual(new Set([6]));
});

const V1: Placed['input'] = {
  framework: 'custom',
  image: 'registry.example.org/iris:1',
  server: { kind: 'custom', protocol: 'v1' },
};

test('items that go one by one take the free slots and leave the queue to others', async () => {
  let most = 0;
  let now = 0;
  const counting: Behave = async (_, nth) => {
    now += 1;
    most = Math.max(most, now);
    if (nth <= 2) await until(() => most === 2, 'two are under way');
    now -= 1;
    return json({ predictions: [1] });
  };
  const inference = { maxConcurrency: 2, maxQueueDepth: 0 };
  const { plane } = await routed({ stable: [counting] }, { ...V1, inference });
  const got = bodyOf(await plane.post(BATCH, { requests: itemsOf(upTo(20)) }));
  expect(got.succeeded).toBe(20);
  expect(most).toBe(2);
});

test('items that go one by one have one deadline together', async () => {
  const slow: Behave = async () => {
    const began = Date.now();
    await until(() => Date.now() - began >= 30, 'it has taken its time');
    return json({ predictions: [1] });
  };
  const { plane, backends } = await routed(
    { stable: [slow] },
    { ...V1, inference: { maxConcurrency: 1 } },
  );
  await plane.post(BATCH, { requests: itemsOf(upTo(3)), timeout: 300 });
  const left = backends['stable']?.[0]?.seen.map(({ headers }) =>
    Number(headers['x-ai-model-deadline-ms']),
  );
  const [first = 0, second = 0, third = 0] = left ?? [];
  expect(first - second).toBeGreaterThanOrEqual(20);
  expect(second - third).toBeGreaterThanOrEqual(20);
});

test('items that are not sent before the deadline are reported as such', async () => {
  const { plane } = await routed(
    { stable: [() => ({ kind: 'silence' })] },
    { ...V1, inference: { maxConcurrency: 1 } },
  );
  const got = bodyOf(await plane.post(BATCH, { requests: itemsOf(upTo(9)), timeout: 1 }));
  expect(got.failed).toBe(9);
  expect(got.results[0]?.error?.code).toBe('INFERENCE_TIMEOUT');
  expect(got.results[8]?.error).toMatchObject({
    code: 'INFERENCE_TIMEOUT',
    message: expect.stringContaining('before the turn of this item'),
  });
  expect(plane.outcomes.map(({ status }) => status)).toEqual(Array.from({ length: 9 }, () => 504));
});

test('a batch for a model without a replica is refused item by item', async () => {
  const { plane } = await routed({ stable: [] }, { inference: { maxQueueDepth: 0 } });
  const got = bodyOf(await plane.post(BATCH, { requests: itemsOf(upTo(2)) }));
  expect(got.results.map(({ error }) => error?.code)).toEqual(['QUEUE_FULL', 'QUEUE_FULL']);
});
