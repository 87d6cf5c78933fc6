import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onnxFile } from './support/onnx-file';
import { json, post, startServer } from './support/server';
import type { TestServer } from './support/server';

// Every object inherits these names: a graph may use them as any other.

const column = ['float', ['N', 1]] as const;
const FILE = onnxFile({
  inputs: {
    ['__proto__']: column,
    constructor: column,
    toString: column,
    hasOwnProperty: column,
  },
  outputs: { valueOf: column, isPrototypeOf: column },
  nodes: [
    {
      op: 'Sum',
      in: ['__proto__', 'constructor', 'toString', 'hasOwnProperty'],
      out: ['valueOf'],
    },
    { op: 'Sub', in: ['__proto__', 'constructor'], out: ['isPrototypeOf'] },
  ],
});
const NAMES = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];

let folder: string;
let server: TestServer;

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'names-'));
  const file = path.join(folder, 'model.onnx');
  writeFileSync(file, FILE);
  const models = ['constructor', 'toString'].map((name) => ({ name, version: '1', path: file }));
  server = await startServer({ models });
}, 30_000);

afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

/** Text, for an object literal cannot hold the first name. */
const row = (...values: readonly number[]): string =>
  `{${values.map((value, index) => `"${NAMES[index]}":${value}`).join(',')}}`;

async function ask(path_: string, body: string): Promise<unknown> {
  const reply = await post(`${server.url}${path_}`, body);
  if (reply.status !== 200) throw new Error(`${reply.status} ${reply.text}`);
  return json(reply);
}

describe.each(['constructor', 'toString'])('a model named %s', (model) => {
  test('answers native calls with inputs of inherited names', async () => {
    const body = `{"input_data":${row(1, 2, 4, 8)}}`;
    expect(await ask(`/inference?model=${model}`, body)).toMatchObject({
      result: { valueOf: [15], isPrototypeOf: [-1] },
    });
  });

  test('answers a batch, item by item', async () => {
    const items = [row(1, 2, 4, 8), row(10, 2, 4, 8)].map((one) => `{"input_data":${one}}`);
    const answer = await ask(
      `/batch_inference?model=${model}`,
      `{"requests":[${items.join(',')}]}`,
    );
    expect(answer).toMatchObject({
      results: [
        { result: { valueOf: [15], isPrototypeOf: [-1] } },
        { result: { valueOf: [24], isPrototypeOf: [8] } },
      ],
    });
  });

  test('answers V1 rows and V1 columns', async () => {
    const rows = `{"instances":[${row(1, 2, 4, 8)},${row(10, 2, 4, 8)}]}`;
    expect(await ask(`/v1/models/${model}:predict`, rows)).toEqual({
      predictions: [
        { valueOf: [15], isPrototypeOf: [-1] },
        { valueOf: [24], isPrototypeOf: [8] },
      ].map((one) => expect.objectContaining(one) as unknown),
    });
    const columns = `{"inputs":{${NAMES.map((name) => `"${name}":[1,2]`).join(',')}}}`;
    expect(await ask(`/v1/models/${model}:predict`, columns)).toMatchObject({
      outputs: { valueOf: [[4], [8]], isPrototypeOf: [[0], [0]] },
    });
  });

  test('answers V2 tensors, each once', async () => {
    const tensor = (name: string): object => ({
      name,
      datatype: 'FP32',
      shape: [2, 1],
      data: [1, 2],
    });
    const inputs = NAMES.map(tensor);
    const url = `/v2/models/${model}/infer`;
    expect(await ask(url, JSON.stringify({ inputs }))).toMatchObject({
      outputs: [
        { name: 'valueOf', data: [4, 8] },
        { name: 'isPrototypeOf', data: [0, 0] },
      ],
    });
    const twice = JSON.stringify({ inputs: [...inputs, tensor('__proto__')] });
    await expect(ask(url, twice)).rejects.toThrow(/^400 .*input '__proto__' is given twice/);
  });

  test.each(NAMES)(
    'reports %s as missing, and finds nothing inherited in its place',
    async (name) => {
      const others = NAMES.filter((one) => one !== name);
      const some = `{${others.map((one) => `"${one}":1`).join(',')}}`;
      const inputs = others.map((one) => ({
        name: one,
        datatype: 'FP32',
        shape: [1, 1],
        data: [1],
      }));
      const calls = [
        [`/inference?model=${model}`, `{"input_data":${some}}`],
        [`/v1/models/${model}:predict`, `{"instances":[${some}]}`],
        [`/v1/models/${model}:predict`, `{"inputs":${some.replaceAll(':1', ':[1]')}}`],
        [`/v2/models/${model}/infer`, JSON.stringify({ inputs })],
      ] as const;
      for (const [url, body] of calls)
        await expect(ask(url, body)).rejects.toThrow(new RegExp(`^400 .*'${name}'`));
    },
  );
});

test('an output that ONNX Runtime cannot return is reported at the start', async () => {
  const file = path.join(folder, 'output.onnx');
  const nodes = [{ op: 'Identity', in: ['x'], out: ['__proto__'] }];
  writeFileSync(
    file,
    onnxFile({ inputs: { x: column }, outputs: { ['__proto__']: column }, nodes }),
  );
  const models = [{ name: 'output', version: '1', path: file }];
  await expect(startServer({ models })).rejects.toThrow(/output '__proto__'.*rename/);
});
