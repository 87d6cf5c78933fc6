import { fixtures, json, post, startServer } from './support/server';
import type { TestServer } from './support/server';

let server: TestServer;

beforeAll(async () => {
  server = await startServer({
    models: fixtures('batchable', 'unbatchable', 'total', 'identity_string', 'with_metadata'),
    batching: { maxSize: 8, maxDelayMs: 5 },
  });
});

afterAll(async () => {
  await server.stop();
});

type Outputs = { readonly name: string; readonly data: unknown[]; readonly shape: number[] }[];

async function infer(model: string, datatype: string, rows: unknown[][]): Promise<Outputs> {
  const shape = [rows.length, rows[0]?.length];
  const inputs = [{ name: 'x', datatype, shape, data: rows.flat() }];
  const reply = await post(`${server.url}/v2/models/${model}/infer`, { inputs });
  if (reply.status !== 200) throw new Error(reply.text);
  return (json(reply) as { outputs: Outputs }).outputs;
}

async function metric(line: string): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const found = text.split('\n').find((each) => each.startsWith(`${line} `));
  return Number(found?.slice(line.length));
}

test('concurrent requests share a run, and each gets its own result', async () => {
  const rows = Array.from({ length: 40 }, (_, i) => [i, i + 1, i * 2, -i]);
  const alone: Outputs[] = [];
  for (const row of rows) alone.push(await infer('batchable', 'FP32', [row]));
  const runs = await metric('onnx_server_run_requests_count');
  const together = await Promise.all(rows.map((row) => infer('batchable', 'FP32', [row])));
  expect(await metric('onnx_server_run_requests_count')).toBeLessThan(runs + 40);
  for (const [index, outputs] of together.entries()) {
    for (const [at, { name, data, shape }] of outputs.entries()) {
      const wanted = alone[index]?.[at];
      expect({ name, shape }).toEqual({ name: wanted?.name, shape: wanted?.shape });
      for (const [i, value] of data.entries())
        expect(value).toBeCloseTo(Number(wanted?.data[i]), 5);
    }
  }
});

test('requests of several rows, and of different shapes, get their own results', async () => {
  const cases = Array.from({ length: 30 }, (_, i) =>
    Array.from({ length: (i % 4) + 1 }, (__, row) =>
      Array.from({ length: (i % 3) + 1 }, (___, column) => `${i}-${row}-${column} 症`),
    ),
  );
  const answers = await Promise.all(cases.map((rows) => infer('identity_string', 'BYTES', rows)));
  expect(answers.map(([output]) => output?.data)).toEqual(cases.map((rows) => rows.flat()));
});

/** Different requests together, after as many equal ones as a load test or a warm-up sends. */
async function afterWarmUp(url: string, model: string): Promise<readonly unknown[]> {
  const ask = async (row: readonly number[]): Promise<unknown> => {
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [1, 3], data: row }];
    const reply = await post(`${url}/v2/models/${model}/infer`, { inputs });
    return (json(reply) as { outputs: Outputs }).outputs[0]?.data;
  };
  for (let round = 0; round < 6; round += 1) {
    await Promise.all(Array.from({ length: 16 }, () => ask([1, 2, 3])));
  }
  return Promise.all(Array.from({ length: 64 }, (_, i) => ask([i, i * 2, i * 3])));
}

const zeros = Array.from({ length: 64 }, () => [0, 0, 0]);

test('a graph that mixes the rows of a batch runs them one by one, after any warm-up', async () => {
  expect(await afterWarmUp(server.url, 'unbatchable')).toEqual(zeros);
  const inputs = zeros.map((_, i) => [i, i * 2, i * 3]);
  const reply = await post(`${server.url}/v1/models/unbatchable:predict`, { instances: inputs });
  expect(json(reply)).toEqual({ predictions: zeros });
  expect(await metric('onnx_server_joins_requests{model="unbatchable"}')).toBe(0);
  expect(await metric('onnx_server_joins_requests{model="batchable"}')).toBe(1);
});

test('a wrong statement of the author is detected by different requests, logged and counted', async () => {
  const stated = await startServer({
    models: fixtures('unbatchable'),
    batching: { maxSize: 8, maxDelayMs: 5 },
    rowsIndependent: true,
  });
  expect(await afterWarmUp(stated.url, 'unbatchable')).toEqual(zeros);
  const text = await (await fetch(`${stated.url}/metrics`)).text();
  expect(text).toContain('onnx_server_joins_requests{model="unbatchable"} 0\n');
  expect(text).toContain(
    'onnx_server_compared_runs_total{model="unbatchable",result="different"} 1\n',
  );
  const { stderr } = await stated.stop();
  expect(stderr).toBe(
    "model 'unbatchable': its requests run one by one from now on: a joined run gave another answer than a single one\n",
  );
});

test('a model that is not batched logs the reason at its start, and the remedy', async () => {
  const asked = await startServer({
    models: fixtures('unbatchable', 'batchable'),
    batching: { maxSize: 8, maxDelayMs: 0 },
  });
  const { stderr } = await asked.stop();
  expect(stderr).toBe(
    "model 'unbatchable': its requests run one by one, not in batches: a node ReduceMean: it works along the rows; " +
      "if each row's answer depends on that row alone, say so: inference.batching.rows_independent, or --rows-independent\n",
  );
});

test('a graph without a batch in its output runs each request alone', async () => {
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, i) => infer('total', 'FP32', [[i, 0, 0]])),
  );
  expect(answers.map(([output]) => output?.data)).toEqual(
    Array.from({ length: 10 }, (_, i) => [i]),
  );
});

test('native and V1 requests are batched as well, and counted', async () => {
  const calls = Array.from({ length: 8 }, (_, i) =>
    post(`${server.url}/inference?model=batchable`, { input_data: { x: [i, 0, 0, 0] } }),
  );
  const usages = (await Promise.all(calls)).map(
    (reply) => (json(reply) as { resource_usage: { batch_size: number } }).resource_usage,
  );
  expect(Math.max(...usages.map(({ batch_size }) => batch_size))).toBeGreaterThan(1);
});

test('a request with a wrong shape fails alone', async () => {
  const good = Array.from({ length: 5 }, (_, i) => infer('batchable', 'FP32', [[i, 0, 0, 0]]));
  await expect(infer('batchable', 'FP32', [[1, 2]])).rejects.toThrow('got shape [1,2]');
  expect(await Promise.all(good)).toHaveLength(5);
});

test('a request that expires before its batch runs gets 504, the others their results', async () => {
  const body = {
    inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }],
  };
  const url = `${server.url}/v2/models/batchable/infer`;
  const replies = await Promise.all([
    post(url, body),
    post(url, body, { 'x-ai-model-deadline-ms': '0' }),
    post(url, body),
  ]);
  expect(replies.map(({ status }) => status)).toEqual([200, 504, 200]);
});
