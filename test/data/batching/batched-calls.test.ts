import type { Got } from '../../support/plane';
import { stopPlanes } from '../../support/plane';
import type { Behave } from '../../support/backend';
import { json, stopBackends } from '../../support/backend';
import {
  all,
  clean,
  doublingNative,
  doublingV1,
  doublingV2,
  inferences,
  NATIVE,
  nativeBody,
  routed,
  V1,
  v1Body,
  V2,
  v2Body,
} from '../../support/together';

// inference.batching on real sockets: which requests go together, and what each of them gets.

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

describe.each([
  ['V2', 'v2', doublingV2, V2, (n: number) => v2Body(n)],
  ['V1', 'v1', doublingV1, V1, (n: number) => v1Body(n)],
  ['TensorFlow Serving', 'tfs', doublingV1, V1, (n: number) => v1Body(n)],
  ['native', 'native', doublingNative, NATIVE, nativeBody],
] as const)('%s', (_, protocol, behave, path, bodyOf) => {
  test('ten requests, four a call, make three calls, and each gets the answer that it gets alone', async () => {
    const on = await routed(protocol, behave);
    const { plane, backend } = on;
    const numbers = Array.from({ length: 10 }, (_one, n) => n + 1);
    const together = await all(
      on,
      numbers.map((n) => plane.post(path, bodyOf(n))),
    );
    expect(inferences(backend)).toHaveLength(3);
    expect(plane.joined.map(({ requests }) => requests).sort()).toEqual([2, 4, 4]);
    expect(plane.joined.some(({ isUndone }) => isUndone)).toBe(false);
    plane.route({
      input: { ...on.input, inference: {} },
      ports: { stable: [backend.port] },
    });
    const alone = await Promise.all(numbers.map((n) => plane.post(path, bodyOf(n))));
    expect(inferences(backend)).toHaveLength(13);
    expect(together.map(stable)).toEqual(alone.map(stable));
    expect(plane.outcomes.map(({ status, tries }) => `${status} ${tries}`)).toEqual(
      Array(20).fill('200 1'),
    );
    clean(plane);
  });

  test('a bad request is refused, and no other request with it', async () => {
    const on = await routed(protocol, behave);
    const got = await all(
      on,
      [1, -1, 3, 4].map((n) => on.plane.post(path, bodyOf(n))),
    );
    expect(got.map(({ status }) => status)).toEqual([200, 400, 200, 200]);
    expect(got[1]?.text).toContain('negative');
    expect(on.plane.outcomes.map(({ status }) => status).sort()).toEqual([200, 200, 200, 400]);
    clean(on.plane);
  });
});

/** Gives each row less the mean of all rows of the call. */
const lessMean: Behave = ({ body }) => {
  const { inputs } = JSON.parse(body.toString()) as {
    readonly inputs: readonly { readonly shape: number[]; readonly data: number[] }[];
  };
  const { shape, data } = inputs[0] ?? { shape: [], data: [] };
  const mean = data.reduce((sum, one) => sum + one, 0) / data.length;
  const output = { name: 'y', datatype: 'FP64', shape, data: data.map((one) => one - mean) };
  return json({ outputs: [output] });
};

const dataIn = ({ text }: Got): unknown =>
  (JSON.parse(text) as { outputs: readonly { data: unknown }[] }).outputs[0]?.data;

test('dependent rows are detected by different requests after equal ones', async () => {
  const on = await routed('v2', lessMean, { comparesJoined: true, random: () => 0.999 });
  const ask = (numbers: readonly number[]): Promise<readonly Got[]> =>
    all(
      on,
      numbers.map((n) => on.plane.post(V2, v2Body(n))),
    );
  for (let round = 0; round < 12; round += 1) await ask([5, 5, 5, 5]);
  expect((await ask([1, 2, 3, 4])).map(dataIn)).toEqual([[0], [0], [0], [0]]);
  expect(on.plane.joined.at(-1)).toMatchObject({
    requests: 4,
    isUndone: true,
    compared: 'different',
  });
  const calls = inferences(on.backend).length;
  expect((await ask([6, 7])).map(dataIn)).toEqual([[0], [0]]);
  expect(inferences(on.backend)).toHaveLength(calls + 2);
  clean(on.plane);
});

test('joined answers that equal the single ones are used, and joining goes on', async () => {
  const on = await routed('v2', doublingV2, { comparesJoined: true, random: () => 0.999 });
  for (let round = 0; round < 9; round += 1) {
    const got = await all(
      on,
      [round, 2, 3, 4].map((n) => on.plane.post(V2, v2Body(n))),
    );
    expect(got.map(dataIn)).toEqual([[2 * round], [4], [6], [8]]);
  }
  expect(on.plane.joined.map(({ compared }) => compared)).toEqual([
    ...Array<string>(8).fill('same'),
    undefined,
  ]);
  clean(on.plane);
});

test('sends requests one by one until their rows are known to be independent', async () => {
  const batching = { maxSize: 4, maxDelayMs: 1000 };
  const on = await routed('v2', doublingV2, { inference: { batching } });
  await Promise.all([1, 2, 3].map((n) => on.plane.post(V2, v2Body(n))));
  expect(inferences(on.backend)).toHaveLength(3);
  expect(on.plane.joined).toEqual([]);
  clean(on.plane);
});

/** What does not tell requests apart: times and ids are each request's own. */
const stable = ({ status, headers, text }: Got): unknown => ({
  status,
  type: headers['content-type'],
  isWhole: Number(headers['content-length']) === Buffer.byteLength(text),
  arm: headers['x-ai-model-arm'],
  text: text
    .replace(/"request_id":"[^"]*"/, '')
    .replace(/"processing_time":[\d.]+,"timestamp":"[^"]*"/, ''),
});

const idBody = (id: string, n: number): string => v2Body(n).replace('{', `{"id": "${id}", `);

test('V2: each gets its id back, in the place where the server puts it', async () => {
  const on = await routed('v2', doublingV2);
  const got = await all(
    on,
    ['a', 'b', 'ü'].map((id, n) => on.plane.post(V2, idBody(id, n))),
  );
  expect(inferences(on.backend)).toHaveLength(1);
  expect(got.map(({ text }) => text)).toEqual(
    ['a', 'b', 'ü'].map(
      (id, n) =>
        `{"id": "${id}", "outputs": [{"name": "y", "shape": [1, 1], "datatype": "FP64", "data": [${n * 2}.0]}]}`,
    ),
  );
});

/** Doubles a binary tensor of FP32. */
const doublingBytes: Behave = ({ headers, body }) => {
  const jsonBytes = Number(headers['inference-header-content-length']);
  const { inputs } = JSON.parse(body.toString('utf8', 0, jsonBytes)) as V2Inputs;
  const tail = body.subarray(jsonBytes);
  const out = Buffer.alloc(tail.length);
  for (let at = 0; at < tail.length; at += 4) out.writeFloatLE(tail.readFloatLE(at) * 2, at);
  const [x] = inputs;
  const outputs = [{ ...x, name: 'y' }];
  const head = Buffer.from(JSON.stringify({ outputs }));
  return {
    kind: 'answer',
    headers: {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': String(head.length),
    },
    body: Buffer.concat([head, out]),
  };
};

interface V2Inputs {
  readonly inputs: readonly object[];
}

function binary(rows: readonly number[]) {
  const size = rows.length * 4;
  const head = `{"inputs":[{"name":"x","shape":[${rows.length}],"datatype":"FP32","parameters":{"binary_data_size":${size}}}]}`;
  const tail = Buffer.alloc(size);
  rows.forEach((one, at) => tail.writeFloatLE(one, at * 4));
  const headers = {
    'content-type': 'application/octet-stream',
    'inference-header-content-length': String(head.length),
  };
  return { method: 'POST', headers, body: Buffer.concat([Buffer.from(head), tail]) };
}

test('V2 in bytes: joined and split, each with its own length of JSON', async () => {
  const on = await routed('v2', doublingBytes);
  const asked = [[1.5], [2, 3], [4]];
  const together = await all(
    on,
    asked.map((rows) => on.plane.ask(V2, binary(rows))),
  );
  expect(inferences(on.backend)).toHaveLength(1);
  on.plane.route({ input: { ...on.input, inference: {} }, ports: { stable: [on.backend.port] } });
  const alone = await Promise.all(asked.map((rows) => on.plane.ask(V2, binary(rows))));
  const parts = ({ headers, body }: Got) => [headers['inference-header-content-length'], body];
  expect(together.map(parts)).toEqual(alone.map(parts));
});

test('native calls of a V2 server go together once its inputs are known', async () => {
  const on = await routed('v2', doublingV2);
  const ask = (x: readonly number[]) => on.plane.post(NATIVE, { input_data: { x } });
  // What the server is asked first is its metadata, so this one goes alone.
  expect((await ask([1, 2])).status).toBe(200);
  const got = await all(on, [ask([1, 2]), ask([3, 4.5])]);
  expect(got.map(({ text }) => JSON.parse(text).output_data)).toEqual([
    { y: [2, 4] },
    { y: [6, 9] },
  ]);
  const [alone, together] = inferences(on.backend).map(
    ({ body }) => JSON.parse(body.toString()).inputs[0],
  );
  expect(alone).toEqual({ name: 'x', datatype: 'FP64', shape: [1, 2], data: [1, 2] });
  expect(together).toMatchObject({ name: 'x', datatype: 'FP64', shape: [2, 2] });
  expect([together.data.slice(0, 2), together.data.slice(2)].sort()).toEqual([
    [1, 2],
    [3, 4.5],
  ]);
});

test('native calls of a V1 server are joined, also with equal V1 calls', async () => {
  const on = await routed('v1', doublingV1);
  const got = await all(on, [
    on.plane.post(NATIVE, nativeBody(1)),
    on.plane.post(NATIVE, nativeBody(2)),
    on.plane.post(V1, v1Body(3)),
  ]);
  expect(inferences(on.backend)).toHaveLength(1);
  expect(got.map(({ text }) => JSON.parse(text))).toMatchObject([
    { output_data: { n: 2 } },
    { output_data: { n: 4 } },
    { predictions: [{ n: 6 }] },
  ]);
});

test('numbers and texts reach the server as they were written', async () => {
  const on = await routed('v1', () => json({ predictions: [1, 2] }));
  const rows = ['{"n": 9007199254740993, "t": "\\u5934"}', '{"n": 0.10, "t": "头"}'];
  await all(
    on,
    rows.map((row) => on.plane.post(V1, `{"instances": [${row}]}`)),
  );
  const [sent] = inferences(on.backend).map(({ body }) => body.toString());
  expect(sent).toContain(rows[0]);
  expect(sent).toContain(rows[1]);
});

test.each([
  ['of another priority', NATIVE, { input_data: { n: 2 }, priority: 'high' }, {}],
  ['with another deadline', NATIVE, { input_data: { n: 2 }, timeout: 7 }, {}],
  ['with another header for the model', NATIVE, { input_data: { n: 2 } }, { 'x-tenant': 'b' }],
])('a request %s does not go with others', async (_, path, body, headers) => {
  const on = await routed('native', doublingNative);
  await all(on, [on.plane.post(NATIVE, nativeBody(1)), on.plane.post(path, body, headers)]);
  expect(on.plane.joined.map(({ requests }) => requests)).toEqual([1, 1]);
});

test('callers that send a fresh deadline each time go together, and the earliest is kept', async () => {
  const on = await routed('native', doublingNative);
  const post = (n: number, ms: number) =>
    on.plane.post(NATIVE, nativeBody(n), { 'x-ai-model-deadline-ms': String(ms) });
  const got = await all(on, [post(1, 14_873), post(2, 14_120), post(3, 13_999)]);
  expect(got.map(({ status }) => status)).toEqual([200, 200, 200]);
  expect(on.plane.joined.map(({ requests }) => requests)).toEqual([3]);
  const [sent] = inferences(on.backend);
  expect(Number(sent?.headers['x-ai-model-deadline-ms'])).toBeLessThanOrEqual(13_999);
});

test('joins requests of different callers, and sends the headers that they have in common', async () => {
  const on = await routed('native', doublingNative);
  const post = (n: number) =>
    on.plane.post(NATIVE, nativeBody(n), {
      'x-user-id': `user-${n}`,
      'x-request-id': `request-${n}`,
      'x-tenant': 'a',
      'user-agent': `agent-${n}`,
    });
  const got = await all(on, [post(1), post(2)]);
  expect(got.map(({ headers }) => headers['x-request-id'])).toEqual(['request-1', 'request-2']);
  const [sent] = inferences(on.backend);
  expect(sent?.url).toBe('/batch_inference');
  expect(sent?.headers).toMatchObject({ 'x-tenant': 'a', 'content-type': 'application/json' });
  expect(sent?.headers['x-request-id']).toMatch(/^request-[12]$/);
  expect(sent?.headers).not.toHaveProperty('x-user-id');
  expect(sent?.headers).not.toHaveProperty('user-agent');
});

test('a request with as many rows as a call may have goes at once, alone', async () => {
  const on = await routed('v1', doublingV1);
  const got = await on.plane.post(V1, v1Body(1, 2, 3, 4));
  expect(got.status).toBe(200);
  expect(on.plane.joined).toEqual([]);
});

test('a body whose JSON would take long to cut goes alone', async () => {
  const on = await routed('v1', doublingV1);
  const text = `{"instances": [{"n": 1}${' '.repeat(1024 * 1024)}]}`;
  expect((await on.plane.post(V1, text)).status).toBe(200);
  expect(on.plane.joined).toEqual([]);
});

test('rows count, not requests: a call never has more of them than it may', async () => {
  const on = await routed('v1', doublingV1);
  await all(
    on,
    [[1, 2], [3, 4, 5], [6]].map((rows) => on.plane.post(V1, v1Body(...rows))),
  );
  const sizes = inferences(on.backend).map(
    ({ body }) => JSON.parse(body.toString()).instances.length,
  );
  expect(Math.max(...sizes)).toBeLessThanOrEqual(4);
  expect(sizes.reduce((sum, one) => sum + one, 0)).toBe(6);
});

test('calls of the built-in server, and calls that must not be repeated, are not joined', async () => {
  const on = await routed('native', doublingNative, { inference: { idempotent: false } });
  expect((await on.plane.post(NATIVE, nativeBody(1))).status).toBe(200);
  on.plane.route({
    input: {
      id: 'iris',
      inference: { batching: { maxSize: 4, maxDelayMs: 1000, rowsIndependent: true } },
    },
    ports: { stable: [on.backend.port] },
  });
  expect((await on.plane.post(NATIVE, nativeBody(1))).status).toBe(200);
  expect(on.plane.joined).toEqual([]);
});
