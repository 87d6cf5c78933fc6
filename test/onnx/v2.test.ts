import { request } from 'node:http';
import { deflateSync, gzipSync } from 'node:zlib';
import { fixtures, json, post, startServer } from './support/server';
import type { TestServer } from './support/server';

let server: TestServer;
let base: string;

beforeAll(async () => {
  const names = ['identity_int64', 'identity_uint64', 'identity_fp32', 'identity_fp16'];
  server = await startServer({
    models: fixtures(
      ...names,
      'identity_string',
      'identity_bool',
      'identity_int32',
      'batchable',
      'scalar',
      'zipmap_strings',
    ),
  });
  base = `${server.url}/v2`;
});

afterAll(async () => {
  await server.stop();
});

interface Output {
  readonly name: string;
  readonly shape: number[];
  readonly data?: unknown[];
  readonly parameters?: { readonly binary_data_size: number };
}
interface Answer {
  readonly id?: string;
  readonly model_name: string;
  readonly model_version: string;
  readonly outputs: Output[];
}

const input = (datatype: string, shape: number[], data: unknown): object => ({
  inputs: [{ name: 'x', datatype, shape, data }],
});

const ask = async (model: string, body: unknown, headers = {}): Promise<Answer> => {
  const reply = await post(`${base}/models/${model}/infer`, body, headers);
  if (reply.status !== 200) throw new Error(`${reply.status} ${reply.text}`);
  return json(reply);
};

async function refused(model: string, body: unknown, headers = {}): Promise<string> {
  const reply = await post(`${base}/models/${model}/infer`, body, headers);
  expect(reply.status).toBe(400);
  const answer: { error: string } = json(reply);
  expect(Object.keys(answer)).toEqual(['error']);
  return answer.error;
}

describe('metadata of the server', () => {
  const get = async (path: string): Promise<unknown> => (await fetch(`${base}${path}`)).json();

  test('is live and ready as JSON with true', async () => {
    expect(await get('/health/live')).toEqual({ live: true });
    expect(await get('/health/ready')).toEqual({ ready: true });
    expect(await get('/models/batchable/ready')).toEqual({ name: 'batchable', ready: true });
    expect(await get('/models/batchable/versions/1/ready')).toMatchObject({ ready: true });
  });

  test('lists the extensions', async () => {
    expect(await get('')).toMatchObject({
      extensions: ['binary_tensor_data', 'model_repository'],
    });
  });

  test('lists names and datatypes of a model, with -1 for dynamic sizes', async () => {
    expect(await get('/models/batchable')).toEqual({
      name: 'batchable',
      versions: ['1'],
      platform: 'onnx_onnxv1',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }],
      outputs: [
        { name: 'y', datatype: 'FP32', shape: [-1, 3] },
        { name: 'best', datatype: 'INT64', shape: [-1] },
      ],
    });
    expect(await get('/models/scalar')).toMatchObject({
      inputs: [
        { name: 'x', datatype: 'FP32', shape: [] },
        { name: 'n', datatype: 'INT64', shape: [] },
      ],
    });
    expect(await get('/models/identity_string')).toMatchObject({
      inputs: [{ name: 'x', datatype: 'BYTES', shape: [-1, -1] }],
    });
  });

  test('lists the output of a ZipMap as a tensor, with the labels of its columns', async () => {
    expect(await get('/models/zipmap_strings')).toMatchObject({
      outputs: [{ name: 'output_label' }, { name: 'output_probability', shape: [-1, 3] }],
      parameters: { classes: { output_probability: ['setosa', 'versicolor', 'virginica'] } },
    });
  });

  test('lists every model of the repository as ready', async () => {
    const list: { name: string; state: string }[] = json(
      await post(`${base}/repository/index`, {}),
    );
    expect(list).toHaveLength(10);
    expect(list[0]).toEqual({ name: 'identity_int64', version: '1', state: 'READY', reason: '' });
    expect((await post(`${base}/repository/models/batchable/load`, {})).status).toBe(200);
    expect((await post(`${base}/repository/models/batchable/unload`, {})).status).toBe(400);
  });
});

describe('numbers', () => {
  test('of 64 bits are exact in both directions', async () => {
    const numbers = '[-9223372036854775808, 9007199254740993,9223372036854775807,-1,0,1e3]';
    const body = `{"inputs":[{"name":"x","datatype":"INT64","shape":[2,3],"data":${numbers}}]}`;
    const reply = await post(`${base}/models/identity_int64/infer`, body);
    const data = '"data":[-9223372036854775808,9007199254740993,9223372036854775807,-1,0,1000]';
    expect(reply.text).toContain(data);
    const unsigned =
      '{"inputs":[{"name":"x","datatype":"UINT64","shape":[1,1],"data":[[18446744073709551615]]}]}';
    expect((await post(`${base}/models/identity_uint64/infer`, unsigned)).text).toContain(
      '"data":[18446744073709551615]',
    );
  });

  test.each([
    ['identity_int64', 'INT64', '9223372036854775808'],
    ['identity_uint64', 'UINT64', '18446744073709551616'],
    ['identity_uint64', 'UINT64', '-1'],
    ['identity_int32', 'INT32', '2147483648'],
    ['identity_int32', 'INT32', '1.5'],
    ['identity_int32', 'INT32', '"1"'],
    ['identity_int64', 'INT64', '1.5'],
    ['identity_int64', 'INT64', '"9007199254740993"'],
    ['identity_int64', 'INT64', 'NaN'],
    ['identity_bool', 'BOOL', '2'],
    ['identity_bool', 'BOOL', '"true"'],
    ['identity_string', 'BYTES', '5'],
    ['identity_string', 'BYTES', 'NaN'],
    ['identity_fp32', 'FP32', '"5"'],
    ['identity_fp32', 'FP32', 'null'],
    ['identity_fp32', 'FP32', 'true'],
  ])('of %s refuse %s %s, with the element', async (model, datatype, value) => {
    const body = `{"inputs":[{"name":"x","datatype":"${datatype}","shape":[1,1],"data":[${value}]}]}`;
    expect(await refused(model, body)).toMatch(/^input 'x': element 0 is .+; .+ takes /);
  });

  test('may be NaN and infinities in both directions, as bare words', async () => {
    const body =
      '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":[NaN,Infinity,-Infinity,1e400]}]}';
    const reply = await post(`${base}/models/identity_fp32/infer`, body);
    expect(reply.text).toContain('"data":[NaN,Infinity,-Infinity,Infinity]');
    const quoted = input('FP32', [1, 3], ['NaN', 'Infinity', '-Infinity']);
    const half = await post(`${base}/models/identity_fp16/infer`, {
      inputs: [{ name: 'x', datatype: 'FP16', shape: [1, 2], data: [65504, 1e6] }],
    });
    expect((await post(`${base}/models/identity_fp32/infer`, quoted)).text).toContain(
      '"data":[NaN,Infinity,-Infinity]',
    );
    expect(half.text).toContain('"data":[65504,Infinity]');
  });

  test('for booleans are true, false, 1 and 0', async () => {
    const { outputs } = await ask('identity_bool', input('BOOL', [1, 4], [true, false, 1, 0]));
    expect(outputs[0]?.data).toEqual([true, false, true, false]);
  });

  test('that look exact but are strings stay strings', async () => {
    const words = ['12345678901234567890', 'NaN', 'a "12345678901234567" b', '\\', ''];
    const { outputs } = await ask('identity_string', input('BYTES', [1, 5], words));
    expect(outputs[0]?.data).toEqual(words);
  });
});

describe('shapes', () => {
  test('allow data nested accordingly', async () => {
    const nested = input(
      'FP32',
      [2, 4],
      [
        [1, 2, 3, 4],
        [5, 6, 7, 8],
      ],
    );
    const flat = input('FP32', [2, 4], [1, 2, 3, 4, 5, 6, 7, 8]);
    expect(await ask('batchable', nested)).toEqual(await ask('batchable', flat));
  });

  test.each([
    [
      [2, 4],
      [
        [1, 2, 3, 4],
        [5, 6, 7],
      ],
      'at level 1 there is a list of 3, not a list of 4',
    ],
    [[2, 4], [[1, 2, 3, 4]], 'not a list of 2'],
    [[1, 4], [[[1]], 2, 3, 4], 'data does not have the stated shape [1,4]'],
    [[1, 4], [1, 2, 3], 'data has 3 elements, shape [1,4] needs 4'],
    [[1, 4], { 0: 1 }, 'data is an object; it must be a list'],
    [[1, 3], [1, 2, 3], 'got shape [1,3], the model takes [-1,4] (-1 is any size)'],
    [[4], [1, 2, 3, 4], 'got shape [4], the model takes [-1,4]'],
    [[1, -4], [1], 'shape holds -4'],
    [[1, 1.5], [1], 'shape holds 1.5'],
    [['1', 4], [1], 'shape holds "1"'],
    [[2147483647, 2147483647, 2147483647], [], 'more than 2^53 elements'],
    ['[1,4]', [1], 'shape is "[1,4]"; it must be a list of integers'],
    [undefined, [1], 'shape is undefined'],
  ])('of %j with data %j are refused', async (shape, data, message) => {
    const body = { inputs: [{ name: 'x', datatype: 'FP32', shape, data }] };
    expect(await refused('batchable', body)).toContain(message);
  });

  test('of a scalar allow one element, in a list or alone', async () => {
    const body = (x: unknown, n: unknown): object => ({
      inputs: [
        { name: 'x', datatype: 'FP32', shape: [], data: x },
        { name: 'n', datatype: 'INT64', shape: [], data: n },
      ],
    });
    const { outputs } = await ask('scalar', body([1.5], 41));
    expect(outputs).toMatchObject([
      { name: 'doubled', shape: [], data: [3] },
      { name: 'next', shape: [], data: [42] },
    ]);
  });
});

describe('the request', () => {
  const body = input('FP32', [1, 4], [1, 2, 3, 4]);

  test('needs no Content-Type', async () => {
    const text = JSON.stringify(body);
    const status = await new Promise((resolve, reject) => {
      const call = request(`${base}/models/batchable/infer`, { method: 'POST' }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      });
      call.on('error', reject);
      call.end(text);
    });
    expect(status).toBe(200);
  });

  test('gets its id back when that is a string, else none', async () => {
    expect((await ask('batchable', { ...body, id: 'a"7' })).id).toBe('a"7');
    for (const id of [undefined, null, 7, {}]) {
      expect(Object.keys(await ask('batchable', { ...body, id }))).not.toContain('id');
    }
  });

  test('chooses outputs, in its own order', async () => {
    const outputs = [{ name: 'best' }, { name: 'y' }];
    const names = (answer: Answer): string[] => answer.outputs.map(({ name }) => name);
    expect(names(await ask('batchable', { ...body, outputs }))).toEqual(['best', 'y']);
    expect(names(await ask('batchable', { ...body, outputs: [{ name: 'best' }] }))).toEqual([
      'best',
    ]);
    expect(names(await ask('batchable', { ...body, outputs: [] }))).toEqual(['y', 'best']);
  });

  test.each([
    [{ outputs: [{ name: 'bests' }] }, 'the model has no output "bests" (did you mean "best"?)'],
    [{ outputs: [{ name: 'y' }, { name: 'y' }] }, 'an output is asked for twice'],
    [{ outputs: [7] }, 'the model has no output 7; it has y, best'],
    [{ outputs: 'y' }, 'outputs is "y"; it must be a list'],
    [
      { outputs: [{ name: 'y', parameters: { classification: 3 } }] },
      'classification is not offered',
    ],
    [
      { inputs: [] },
      "missing input 'x' (FP32 [-1,4]); the model takes 'x', and V2 has no defaults",
    ],
    [{ inputs: [null] }, 'inputs holds null'],
    [{ inputs: {} }, 'inputs is an object; it must be a list'],
    [{ inputs: [{ name: 'z' }] }, 'the model has no input "z"; it has x'],
    [
      { inputs: [{ name: 'x', datatype: 'FP64', shape: [1, 4], data: [1, 2, 3, 4] }] },
      `input 'x': datatype is "FP64"; the model takes FP32`,
    ],
    [{ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 4] }] }, "input 'x' has no data"],
  ])('with %j is refused with a reason', async (change, message) => {
    expect(await refused('batchable', { ...body, ...change })).toContain(message);
  });

  test('with a repeated input is refused', async () => {
    const { inputs } = body as { inputs: object[] };
    expect(await refused('batchable', { inputs: [...inputs, ...inputs] })).toContain('given twice');
  });

  test.each(['gzip', 'deflate'])('may be compressed with %s', async (encoding) => {
    const bytes = Buffer.from(JSON.stringify(body));
    const small = encoding === 'gzip' ? gzipSync(bytes) : deflateSync(bytes);
    const answer = await ask('batchable', small, { 'content-encoding': encoding });
    expect(answer).toEqual(await ask('batchable', body));
  });
});

describe('binary tensors', () => {
  const url = (): string => `${base}/models/identity_string/infer`;

  function binary(inputs: object[], tail: Buffer, more = {}): [Buffer, Record<string, string>] {
    const head = Buffer.from(JSON.stringify({ inputs, ...more }));
    return [Buffer.concat([head, tail]), { 'inference-header-content-length': `${head.length}` }];
  }
  const wrapped = (text: Buffer): Buffer => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(text.length);
    return Buffer.concat([length, text]);
  };
  const x = { name: 'x', datatype: 'BYTES', shape: [1, 2] };

  test('may be used for each output separately', async () => {
    const tail = Buffer.from(Float32Array.of(1, 2, 3, 4).buffer);
    const [body, headers] = binary(
      [{ name: 'x', datatype: 'FP32', shape: [1, 4], parameters: { binary_data_size: 16 } }],
      tail,
      { outputs: [{ name: 'y' }, { name: 'best', parameters: { binary_data: true } }] },
    );
    const answer = await fetch(`${base}/models/batchable/infer`, { method: 'POST', body, headers });
    expect(answer.headers.get('content-type')).toBe('application/octet-stream');
    const bytes = Buffer.from(await answer.arrayBuffer());
    const split = Number(answer.headers.get('inference-header-content-length'));
    const { outputs } = JSON.parse(bytes.toString('utf8', 0, split)) as Answer;
    expect(outputs[0]?.data).toHaveLength(3);
    expect(outputs[1]).toMatchObject({ name: 'best', parameters: { binary_data_size: 8 } });
    expect(bytes.readBigInt64LE(split)).toBe(0n);
    expect(bytes).toHaveLength(split + 8);
  });

  test('hold FP16 in 16 bits', async () => {
    const tail = Buffer.from(Uint16Array.of(0x3c00, 0x7c00, 0x8000).buffer);
    const [body, headers] = binary(
      [{ name: 'x', datatype: 'FP16', shape: [1, 3], parameters: { binary_data_size: 6 } }],
      tail,
      { parameters: { binary_data_output: true } },
    );
    const reply = await fetch(`${base}/models/identity_fp16/infer`, {
      method: 'POST',
      body,
      headers,
    });
    const bytes = Buffer.from(await reply.arrayBuffer());
    expect(bytes.subarray(-6)).toEqual(tail);
  });

  test('may be in the response without being in the request', async () => {
    const body = {
      ...input('BYTES', [1, 2], ['头痛', '']),
      parameters: { binary_data_output: true },
    };
    const answer = await fetch(url(), { method: 'POST', body: JSON.stringify(body) });
    const bytes = Buffer.from(await answer.arrayBuffer());
    const tail = Buffer.concat([wrapped(Buffer.from('头痛')), wrapped(Buffer.alloc(0))]);
    expect(bytes.subarray(-tail.length)).toEqual(tail);
  });

  test.each([
    [Buffer.from([1, 0, 0, 0, 65]), 5, 'holds 1 strings, its shape needs 2'],
    [Buffer.from([9, 0, 0, 0, 65]), 5, 'ends within element 0'],
    [Buffer.from([0, 0]), 2, 'ends within element 0'],
    [Buffer.concat([wrapped(Buffer.from([0xff])), wrapped(Buffer.alloc(0))]), 9, 'is not UTF-8'],
    [Buffer.concat([wrapped(Buffer.from('a\0b')), wrapped(Buffer.alloc(0))]), 11, 'NUL'],
    [Buffer.alloc(8), 12, 'binary_data_size is 12, but 8 bytes are left'],
    [Buffer.alloc(12), 8, '4 bytes of binary data belong to no input'],
    [Buffer.alloc(8), -8, 'binary_data_size is -8'],
    [Buffer.alloc(8), '8', 'binary_data_size is "8"'],
  ])('with broken bytes %j are refused', async (tail, size, message) => {
    const inputs = [{ ...x, parameters: { binary_data_size: size } }];
    const [body, headers] = binary(inputs, tail);
    expect(await refused('identity_string', body, headers)).toContain(message);
  });

  test.each(['-1', 'x', '99999', '1e3', ''])(
    'with the header length %j are refused',
    async (length) => {
      const headers = { 'inference-header-content-length': length };
      expect(await refused('identity_string', '{"inputs":[]}', headers)).toMatch(
        /Inference-Header-Content-Length is|missing input/,
      );
    },
  );
});
