import path from 'node:path';
import {
  asTensor,
  dataText,
  expectTensor,
  FIXTURE_CASES,
  fromBytes,
  nested,
  readExact,
  referenceCases,
  toBytes,
} from './support/expected';
import { fixtures, MODELS, post, startServer } from './support/server';
import type { Case, Expected } from './support/expected';
import type { TestServer } from './support/server';

// The answers over the wire against those of Python's ONNX Runtime, in every protocol.

const PRODUCT_MODELS = [
  'deep_tcm_diagnosis-v3.0.1',
  'deep_tcm_diagnosis-v3.0.2',
  'personalized_treatment-v1.1.0',
  'personalized_treatment-v1.2.0',
  'health_assessment-v2.0.0',
];

const CASES = [
  ...FIXTURE_CASES,
  ...PRODUCT_MODELS.map((model) => ({ model, cases: referenceCases(model) })),
].flatMap(({ model, cases }) => cases.map((each) => [model, each.name, each] as const));

let server: TestServer;

beforeAll(async () => {
  const products = PRODUCT_MODELS.map((name) => ({
    name,
    version: '1',
    path: path.join(MODELS, `${name}.onnx`),
  }));
  server = await startServer({
    models: [...fixtures(...FIXTURE_CASES.map(({ model }) => model)), ...products],
  });
});

afterAll(async () => {
  await server.stop();
});

interface V2Output {
  readonly name: string;
  readonly datatype: string;
  readonly shape: number[];
  readonly data: (number | string | boolean)[];
  readonly parameters: { readonly binary_data_size: number };
}

/** Every output has to be there, once, and right. */
function expectOutputs(got: readonly V2Output[], { outputs }: Case): void {
  expect(got.map(({ name }) => name)).toEqual(Object.keys(outputs));
  for (const output of got) expectTensor(output, asTensor(outputs[output.name] as Expected));
}

describe.each(CASES)('%s, %s: Python and', (model, _name, example) => {
  const inputs = Object.entries(example.inputs);

  test('V2 as JSON agree', async () => {
    const tensors = inputs.map(
      ([name, tensor]) =>
        `{"name":${JSON.stringify(name)},"datatype":"${tensor.datatype}",` +
        `"shape":${JSON.stringify(tensor.shape)},"data":${dataText(tensor)}}`,
    );
    const url = `${server.url}/v2/models/${model}/infer`;
    const { status, text } = await post(url, `{"inputs":[${tensors.join(',')}]}`);
    expect([status, status === 200 ? '' : text]).toEqual([200, '']);
    expectOutputs((readExact(text) as { outputs: V2Output[] }).outputs, example);
  });

  test('V2 with binary tensors agree', async () => {
    if (inputs.some(([, { datatype }]) => datatype === 'FP16')) return;
    const tails = inputs.map(([, tensor]) => toBytes(tensor));
    const head = Buffer.from(
      JSON.stringify({
        parameters: { binary_data_output: true },
        inputs: inputs.map(([name, { datatype, shape }], index) => ({
          name,
          datatype,
          shape,
          parameters: { binary_data_size: tails[index]?.length },
        })),
      }),
    );
    const answer = await fetch(`${server.url}/v2/models/${model}/infer`, {
      method: 'POST',
      body: Buffer.concat([head, ...tails]),
      headers: { 'inference-header-content-length': String(head.length) },
    });
    const bytes = Buffer.from(await answer.arrayBuffer());
    expect(answer.status).toBe(200);
    const split = Number(answer.headers.get('inference-header-content-length'));
    let at = split;
    const { outputs } = JSON.parse(bytes.toString('utf8', 0, split)) as { outputs: V2Output[] };
    const read = outputs.map((output) => {
      const size = output.parameters.binary_data_size;
      at += size;
      // Copied to its own buffer, where it is aligned.
      const own = Buffer.from(bytes.subarray(at - size, at));
      return { ...output, data: fromBytes(output.datatype, own) };
    });
    expect(at).toBe(bytes.length);
    expectOutputs(read, example);
  });

  test('V1 by columns agree', async () => {
    const columns = inputs.map(([name, { shape, data }]) => {
      const text = JSON.stringify(nested(shape, data)).replace(/"(-?\d{10,}|-?\d)"/g, '$1');
      return `${JSON.stringify(name)}:${text}`;
    });
    const url = `${server.url}/v1/models/${model}:predict`;
    const { status, text } = await post(url, `{"inputs":{${columns.join(',')}}}`);
    expect([status, status === 200 ? '' : text]).toEqual([200, '']);
    const { outputs } = readExact(text) as { outputs: unknown };
    const names = Object.keys(example.outputs);
    const byName = (names.length === 1 ? { [String(names[0])]: outputs } : outputs) as object;
    expect(Object.keys(byName)).toEqual(names);
    for (const [name, value] of Object.entries(byName)) {
      const wanted = asTensor(example.outputs[name] as Expected);
      const data = [value].flat(Infinity as 1) as string[];
      expectTensor({ ...wanted, data }, wanted);
    }
  });

  test('native agree', async () => {
    const input = inputs.map(([name, { shape, data }]) => {
      const text = JSON.stringify(nested(shape, data)).replace(/"(-?\d{10,}|-?\d)"/g, '$1');
      return `${JSON.stringify(name)}:${text}`;
    });
    const url = `${server.url}/inference?model=${model}`;
    const { status, text } = await post(url, `{"input_data":{${input.join(',')}}}`);
    expect([status, status === 200 ? '' : text]).toEqual([200, '']);
    const { result } = readExact(text) as { result: Record<string, unknown> };
    expect(Object.keys(result)).toEqual(Object.keys(example.outputs));
    for (const [name, value] of Object.entries(result)) {
      const wanted = asTensor(example.outputs[name] as Expected);
      const isRow = wanted.shape.length === 2 && wanted.shape[0] === 1;
      // A row of classes is an object; in the only row of strings the empty ones are left out.
      const rows = [value].flat(Infinity as 1) as unknown[];
      const flat = rows.flatMap((row) =>
        typeof row === 'object' && row !== null ? Object.values(row) : [row],
      ) as string[];
      const isShort = wanted.datatype === 'BYTES' && isRow;
      const data = isShort ? wanted.data.filter((text_) => text_ !== '') : wanted.data;
      expectTensor({ ...wanted, shape: wanted.shape, data: flat }, { ...wanted, data });
    }
  });
});
