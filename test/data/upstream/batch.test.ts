import type { Behave } from '../../support/backend';
import { json, startBackend, stopBackends } from '../../support/backend';
import type { Placed, TestPlane } from '../../support/plane';
import { startPlane, stopPlanes, until } from '../../support/plane';

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

const BATCH = '/api/v1/models/iris/batch_inference';

interface Item {
  readonly input_data: { readonly n: number };
}

const resultOf = ({ input_data }: Item): object => ({ result: input_data.n * 2 });

/** Doubles each; an item with a negative number spoils the call that it is in. */
const doubling: Behave = ({ url, body }) => {
  const value = JSON.parse(body.toString()) as Item & { requests?: readonly Item[] };
  const items = url.startsWith('/batch') ? (value.requests ?? []) : [value];
  if (items.some(({ input_data }) => input_data.n < 0)) return json({ error: 'negative' }, 400);
  return json(url.startsWith('/batch') ? { results: items.map(resultOf) } : resultOf(value));
};

const itemsOf = (...numbers: readonly number[]): readonly Item[] =>
  numbers.map((n) => ({ input_data: { n } }));

async function routed(behaves: readonly Behave[], input: Placed['input'] = {}) {
  const backends = await Promise.all(behaves.map((one) => startBackend(one)));
  const plane = await startPlane();
  plane.route({
    input: { id: 'iris', ...input },
    ports: { stable: backends.map(({ port }) => port) },
  });
  return { plane, backends };
}

const send = async (plane: TestPlane, requests: readonly unknown[], more = {}) => {
  const got = await plane.post(BATCH, { requests, ...more });
  return { status: got.status, body: JSON.parse(got.text) };
};

const statusesOf = ({ outcomes }: TestPlane): number[] =>
  outcomes.map(({ status }) => status).toSorted();

test('is split over the replicas; the answers are in the order of the items', async () => {
  const { plane, backends } = await routed([doubling, doubling, doubling]);
  const numbers = [5, 3, 9, 1, 7, 2, 8];
  const { status, body } = await send(plane, itemsOf(...numbers));
  expect(status).toBe(200);
  expect(body).toMatchObject({ model_id: 'iris', request_id: 'id-1', succeeded: 7, failed: 0 });
  expect(body.results.map((one: { output_data: number }) => one.output_data)).toEqual(
    numbers.map((n) => n * 2),
  );
  expect(backends.flatMap(({ seen }) => seen)).toHaveLength(3);
});

test('an item that spoils its call fails alone', async () => {
  const { plane } = await routed([doubling]);
  const { status, body } = await send(plane, itemsOf(1, -1, 3));
  expect(status).toBe(200);
  expect(body).toMatchObject({ succeeded: 2, failed: 1 });
  expect(body.results[1]).toEqual({ error: { code: 'INVALID_REQUEST', message: 'negative' } });
  expect([body.results[0].output_data, body.results[2].output_data]).toEqual([2, 6]);
  // What each item got; the call for all of them is not what anyone got.
  expect(statusesOf(plane)).toEqual([200, 200, 400]);
  expect(plane.load.active()).toBe(0);
});

test('an item that crashes its call fails alone, and the answer names version and arm', async () => {
  const crashing: Behave = (seen, nth) => {
    const answer = doubling(seen, nth) as { readonly status?: number };
    return answer.status === 400 ? json({ error: 'crash' }, 500) : (answer as never);
  };
  const { plane } = await routed([crashing]);
  const got = await plane.post(BATCH, { requests: itemsOf(1, -1, 3) });
  expect(JSON.parse(got.text)).toMatchObject({ succeeded: 2, failed: 1 });
  expect(got.headers).toMatchObject({ 'x-ai-model-version': 'v1', 'x-ai-model-arm': 'stable' });
  expect(statusesOf(plane)).toEqual([200, 200, 500]);
});

test('a call that all items share has the one outcome, as does an item alone', async () => {
  const { plane } = await routed([doubling]);
  await send(plane, itemsOf(1, 2));
  await send(plane, itemsOf(-1));
  await until(() => plane.outcomes.length === 2, 'both outcomes');
  expect(statusesOf(plane)).toEqual([200, 400]);
});

test('an item that is not a request is refused before anything is sent', async () => {
  const { plane, backends } = await routed([doubling]);
  const { body } = await send(plane, [...itemsOf(1), 7, { input_data: 1 }, {}]);
  expect(body).toMatchObject({ succeeded: 1, failed: 3 });
  expect(body.results[2].error.message).toBe('input_data: got 1, must be an object: input → value');
  const sent = backends[0]?.seen.map(({ body: bytes }) => JSON.parse(bytes.toString()));
  expect(sent).toEqual([{ requests: itemsOf(1) }]);
});

test('for a server without batches is sent item by item', async () => {
  const { plane, backends } = await routed(
    [({ body }) => json({ predictions: [JSON.parse(body.toString()).instances[0].n] })],
    {
      framework: 'custom',
      image: 'registry.example.org/iris:1',
      server: { kind: 'custom', protocol: 'v1' },
    },
  );
  const { body } = await send(plane, itemsOf(1, 2, 3));
  expect(body.results.map((one: { output_data: object }) => one.output_data)).toEqual([
    { predictions: 1 },
    { predictions: 2 },
    { predictions: 3 },
  ]);
  expect(backends[0]?.seen).toHaveLength(3);
});

test('all items of one batch are answered by one version', async () => {
  const backends = await Promise.all([doubling, doubling].map((one) => startBackend(one)));
  const plane = await startPlane();
  const candidates = [{ name: 'next', version: 'v2', source: './b.onnx', traffic: 50 }];
  plane.route({
    input: { id: 'iris', candidates },
    ports: { stable: [backends[0]?.port ?? 0], next: [backends[1]?.port ?? 0] },
  });
  const versions = new Set<string>();
  for (let at = 0; at < 12; at += 1) {
    const { body } = await send(plane, itemsOf(1, 2, 3, 4));
    const own = new Set<string>(
      body.results.map((one: { model_version: string }) => one.model_version),
    );
    expect(own.size).toBe(1);
    own.forEach((one) => versions.add(one));
  }
  expect([...versions].sort()).toEqual(['v1', 'v2']);
});

test.each([
  [{}, 400, 'requests: is missing, must be a list'],
  [{ requests: [] }, 400, 'requests: got [], must be a list'],
  [{ requests: itemsOf(1), timeout: 301 }, 400, 'timeout: got 301'],
  [{ requests: itemsOf(1, 2, 3, 4) }, 413, 'requests: got 4 items, at most 3 are allowed'],
])('%j is %i', async (body, status, message) => {
  const { plane, backends } = await routed([doubling], { inference: { maxBatchSize: 3 } });
  const got = await plane.post(BATCH, body);
  expect([got.status, JSON.parse(got.text).error.message]).toEqual([
    status,
    expect.stringContaining(message),
  ]);
  expect(backends[0]?.seen).toHaveLength(0);
});

test('a server that answers another number of results fails each item, not the router', async () => {
  const { plane } = await routed([() => json({ results: [] })]);
  const { status, body } = await send(plane, itemsOf(1, 2));
  expect(status).toBe(200);
  expect(body.results.map((one: { error: { code: string } }) => one.error.code)).toEqual([
    'UPSTREAM_PROTOCOL_ERROR',
    'UPSTREAM_PROTOCOL_ERROR',
  ]);
});
