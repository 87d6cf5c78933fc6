import type { Behave, Seen } from '../../support/backend';
import { json, startBackend, stopBackends } from '../../support/backend';
import { startPlane, stopPlanes } from '../../support/plane';
import type { TestClient } from './support';
import { connect, startGrpc, stopGrpc } from './support';

// ModelInfer: both forms of contents, towards servers with binary tensors and with JSON only.

afterEach(async () => {
  await stopGrpc();
  await stopPlanes();
  await stopBackends();
});

const LENGTH = 'inference-header-content-length';

/** Gives the inputs back as outputs, byte by byte: numbers stay as they were written. */
const echo = ({ body, headers }: Seen): Awaited<ReturnType<Behave>> => {
  const split = Number(headers[LENGTH] ?? body.length);
  const head = body
    .toString('utf8', 0, split)
    .replace('"inputs":', '"outputs":')
    .replace('"binary_data_output":true', '"served":"binary"');
  const own: Readonly<Record<string, string>> =
    split === body.length ? {} : { [LENGTH]: String(Buffer.byteLength(head)) };
  const whole = Buffer.concat([Buffer.from(head), body.subarray(split)]);
  return { kind: 'answer', headers: own, body: whole };
};

const server =
  (extensions: readonly string[], answer = echo): Behave =>
  (seen) =>
    seen.method === 'GET' ? json({ name: 'x', version: '1', extensions }) : answer(seen);

async function start(behave: Behave) {
  const backend = await startBackend(behave);
  const plane = await startPlane();
  const input = {
    id: 'iris',
    server: { kind: 'custom' as const, image: 'a/b:1', protocol: 'v2' as const },
  };
  plane.route({ input, ports: { stable: [backend.port] } });
  const { port } = await startGrpc(plane);
  return { backend, plane, client: connect(port) };
}

/** Calls with one input, and gives the one output back. */
async function through(client: TestClient, input: object, raw?: Buffer) {
  const request = {
    model_name: 'iris',
    inputs: [{ name: 'x', ...input }],
    ...(raw !== undefined && { raw_input_contents: [raw] }),
  };
  const { reply } = await client.call('ModelInfer', request);
  return { output: reply.outputs[0], raw: reply.raw_output_contents, reply };
}

const MAX = '9223372036854775807';
/** Datatype, field, elements as the client writes and reads them, the same raw. */
const CASES: readonly (readonly [string, string, readonly unknown[], Buffer])[] = [
  ['BOOL', 'bool_contents', [true, false], Buffer.from([1, 0])],
  ['INT8', 'int_contents', [-128, 127], Buffer.from([0x80, 0x7f])],
  ['INT16', 'int_contents', [-32768, 300], Buffer.from([0x00, 0x80, 0x2c, 0x01])],
  ['INT32', 'int_contents', [-1, 2147483647], Buffer.from('ffffffffffffff7f', 'hex')],
  [
    'INT64',
    'int64_contents',
    ['-9007199254740993', MAX],
    Buffer.from('ffffffffffffdfffffffffffffffff7f', 'hex'),
  ],
  ['UINT8', 'uint_contents', [0, 255], Buffer.from([0, 255])],
  ['UINT16', 'uint_contents', [1, 65535], Buffer.from('0100ffff', 'hex')],
  ['UINT32', 'uint_contents', [1, 4294967295], Buffer.from('01000000ffffffff', 'hex')],
  [
    'UINT64',
    'uint64_contents',
    ['9007199254740993', '18446744073709551615'],
    Buffer.from('0100000000002000ffffffffffffffff', 'hex'),
  ],
  ['FP32', 'fp32_contents', [0.10000000149011612, -0], Buffer.from('cdcccc3d00000080', 'hex')],
  ['FP64', 'fp64_contents', [0.1, 1], Buffer.from('9a9999999999b93f000000000000f03f', 'hex')],
  [
    'BYTES',
    'bytes_contents',
    [Buffer.from('头痛'), Buffer.from('')],
    Buffer.from('06000000e5a4b4e7979b00000000', 'hex'),
  ],
];

describe.each([
  ['binary tensors', ['binary_tensor_data']],
  ['JSON only', []],
])('a server with %s', (_, extensions) => {
  test('returns the sent tensors, of every datatype and in both forms', async () => {
    const { client } = await start(server(extensions));
    for (const [datatype, field, elements, raw] of CASES) {
      const typed = await through(client, {
        datatype,
        shape: [2],
        contents: { [field]: elements },
      });
      expect([datatype, typed.output?.contents?.[field]]).toEqual([datatype, elements]);
      expect([datatype, typed.output?.shape, typed.raw]).toEqual([datatype, ['2'], []]);
      const bare = await through(client, { datatype, shape: [2] }, raw);
      expect([datatype, bare.raw, bare.output?.contents]).toEqual([datatype, [raw], null]);
      expect(bare.output?.datatype).toBe(datatype);
    }
  });

  test('gets id and parameters, and returns its own', async () => {
    const { client, backend } = await start(server(extensions));
    const { reply } = await client.call('ModelInfer', {
      model_name: 'iris',
      id: 'call-7',
      parameters: {
        on: { bool_param: true },
        off: { bool_param: false },
        big: { int64_param: '-9007199254740993' },
        huge: { uint64_param: '18446744073709551615' },
        text: { string_param: 'ä"' },
        half: { double_param: 0.5 },
        two: { double_param: 2 },
      },
      inputs: [
        {
          name: 'x',
          datatype: 'INT32',
          shape: [1],
          parameters: { content_type: { string_param: 'np' } },
          contents: { int_contents: [7] },
        },
      ],
    });
    expect(reply.id).toBe('call-7');
    const { served: _served, ...parameters } = reply.parameters;
    expect(parameters).toEqual({
      on: { bool_param: true, parameter_choice: 'bool_param' },
      off: { bool_param: false, parameter_choice: 'bool_param' },
      big: { int64_param: '-9007199254740993', parameter_choice: 'int64_param' },
      huge: { uint64_param: '18446744073709551615', parameter_choice: 'uint64_param' },
      text: { string_param: 'ä"', parameter_choice: 'string_param' },
      half: { double_param: 0.5, parameter_choice: 'double_param' },
      two: { double_param: 2, parameter_choice: 'double_param' },
    });
    expect(reply.outputs[0]?.parameters).toEqual({
      content_type: { string_param: 'np', parameter_choice: 'string_param' },
    });
    const sent = backend.seen.at(-1)?.body.toString('latin1');
    expect(sent).toContain('"big":-9007199254740993,"huge":18446744073709551615');
    expect(sent).toContain('"two":2.0');
  });
});

test('a server is asked for its extensions once, and a known server never', async () => {
  const { client, backend, plane } = await start(server(['binary_tensor_data']));
  const raw = Buffer.from([1, 0, 0, 0]);
  const call = () => through(client, { datatype: 'INT32', shape: [1] }, raw);
  await call();
  await call();
  expect(backend.seen.map(({ method, url }) => `${method} ${url}`)).toEqual([
    'GET /v2',
    'POST /v2/models/iris/infer',
    'POST /v2/models/iris/infer',
  ]);
  const binary = backend.seen[1];
  expect(binary?.headers['content-type']).toBe('application/octet-stream');
  const head = `{"parameters":{"binary_data_output":true},"inputs":[{"name":"x","shape":[1],"datatype":"INT32","parameters":{"binary_data_size":4}}]}`;
  expect(binary?.body).toEqual(Buffer.concat([Buffer.from(head), raw]));
  const known = await startBackend(echo);
  plane.route({ input: { id: 'iris' }, ports: { stable: [known.port] } });
  await call();
  expect(known.seen.map(({ method }) => method)).toEqual(['POST']);
});

test('requested outputs are requested in binary', async () => {
  const { client, backend } = await start(server(['binary_tensor_data']));
  const asked = { name: 'y', parameters: { classification: { int64_param: '3' } } };
  await client
    .call('ModelInfer', { model_name: 'iris', inputs: [], outputs: [asked] })
    .catch(() => undefined);
  expect(JSON.parse(backend.seen[1]?.body.toString() ?? '')).toEqual({
    inputs: [],
    outputs: [{ name: 'y', parameters: { classification: 3, binary_data: true } }],
  });
});

test('FP16 travels raw, also in the response to a typed call; a JSON server gets none', async () => {
  const half = Buffer.from('003c00bc', 'hex');
  const output = { name: 'y', datatype: 'FP16', shape: [2], parameters: { binary_data_size: 4 } };
  const head = JSON.stringify({ outputs: [output] });
  const give: Behave = () => ({
    kind: 'answer',
    headers: { [LENGTH]: String(head.length) },
    body: Buffer.concat([Buffer.from(head), half]),
  });
  const binary = await start(server(['binary_tensor_data'], give as typeof echo));
  const input = { datatype: 'INT8', shape: [1], contents: { int_contents: [1] } };
  expect((await through(binary.client, input)).raw).toEqual([half]);
  const { client, backend } = await start(server([]));
  const request = {
    model_name: 'iris',
    inputs: [{ name: 'x', datatype: 'FP16', shape: [2] }],
    raw_input_contents: [half],
  };
  const error = await client.fail('ModelInfer', request);
  expect([error.code, error.details]).toEqual([
    3,
    'input x: FP16 travels raw only, and this server takes JSON only; send FP32, or use a server with the extension binary_tensor_data',
  ]);
  expect(backend.seen.map(({ method }) => method)).toEqual(['GET']);
});

test('a server without extensions gets JSON, and an unreachable one is not the caller’s fault', async () => {
  const mute: Behave = (seen) => (seen.method === 'GET' ? { kind: 'reset' } : echo(seen));
  const { client, backend } = await start(mute);
  const typed = { datatype: 'INT8', shape: [1], contents: { int_contents: [1] } };
  expect((await through(client, typed)).output?.contents?.['int_contents']).toEqual([1]);
  const half = { name: 'x', datatype: 'FP16', shape: [1] };
  const request = { model_name: 'iris', inputs: [half], raw_input_contents: [Buffer.alloc(2)] };
  const error = await client.fail('ModelInfer', request);
  expect([error.code, error.details]).toEqual([
    14,
    'model iris could not be asked whether it takes binary tensors; try again',
  ]);
  backend.become(server(['binary_tensor_data']));
  const again = await client.call('ModelInfer', request);
  expect(again.reply.raw_output_contents).toEqual([Buffer.alloc(2)]);
});

const NAN = Buffer.from('0000c07f', 'hex');

test('values that JSON cannot express are refused in requests, and read in responses', async () => {
  const { client, backend } = await start(server([]));
  const nan = { name: 'x', datatype: 'FP32', shape: [1] };
  const request = { model_name: 'iris', inputs: [nan], raw_input_contents: [NAN] };
  const error = await client.fail('ModelInfer', request);
  expect([error.code, error.details]).toEqual([3, expect.stringContaining('element 0 is NaN')]);
  const text = { name: 'x', datatype: 'BYTES', shape: [1], contents: { bytes_contents: ['/w=='] } };
  const odd = await client.fail('ModelInfer', { model_name: 'iris', inputs: [text] });
  expect([odd.code, odd.details]).toEqual([3, expect.stringContaining('not UTF-8 text')]);
  const data = '[NaN, Infinity, -Infinity, null]';
  backend.become(() => ({
    kind: 'answer',
    body: `{"outputs":[{"name":"y","datatype":"FP64","shape":[4],"data":${data}}]}`,
  }));
  const got = await through(client, { ...nan, contents: { fp32_contents: [1] } });
  expect(got.output?.contents?.['fp64_contents']).toEqual([NaN, Infinity, -Infinity, NaN]);
});

test.each<[string, object, string]>([
  ['no datatype', {}, 'input x: datatype: got "", must be one of BOOL, INT8'],
  ['an unknown one', { datatype: 'INT4' }, 'input x: datatype: got "INT4"'],
  ['a negative size', { datatype: 'INT8', shape: [-1] }, 'input x: shape: got -1 in [-1]'],
  [
    'another field',
    { datatype: 'FP32', shape: [1], contents: { int_contents: [1] } },
    'input x: got int_contents, FP32 belongs in fp32_contents or raw_input_contents',
  ],
  [
    'too few elements',
    { datatype: 'FP32', shape: [2, 2], contents: { fp32_contents: [1] } },
    'input x: got 1 elements, shape [2, 2] has 4',
  ],
  [
    'too large a number',
    { datatype: 'INT8', shape: [1], contents: { int_contents: [128] } },
    'input x: element 0 is 128, which INT8 does not hold',
  ],
  [
    'a half without raw contents',
    { datatype: 'BF16', shape: [1] },
    'input x: BF16 belongs in raw_input_contents only',
  ],
])('an input with %s is refused before any server is called', async (_, input, message) => {
  const { client, backend, plane } = await start(server([]));
  const request = { model_name: 'iris', inputs: [{ name: 'x', ...input }] };
  const error = await client.fail('ModelInfer', request);
  expect([error.code, error.details]).toEqual([3, expect.stringContaining(message)]);
  expect([backend.seen, plane.outcomes]).toEqual([[], []]);
});

const INT8 = { name: 'x', datatype: 'INT8', shape: [2] };
test.each<[string, object, string]>([
  [
    'one too many',
    { inputs: [INT8], raw_input_contents: [Buffer.alloc(2), Buffer.alloc(2)] },
    'raw_input_contents: got 2, must be one for each of the 1 inputs',
  ],
  [
    'of another length',
    { inputs: [INT8], raw_input_contents: [Buffer.alloc(3)] },
    'input x: got 3 bytes of raw contents, INT8 of shape [2] has 2',
  ],
  [
    'beside typed ones',
    {
      inputs: [{ ...INT8, contents: { int_contents: [1, 2] } }],
      raw_input_contents: [Buffer.alloc(2)],
    },
    'input x: has contents beside raw_input_contents; send one of the two',
  ],
  [
    'that are cut off',
    {
      inputs: [{ ...INT8, datatype: 'BYTES' }],
      raw_input_contents: [Buffer.from('09000000aa', 'hex')],
    },
    'input x: its binary data ends within element 0',
  ],
])('raw contents %s are refused', async (_, request, message) => {
  const { client } = await start(server([]));
  const error = await client.fail('ModelInfer', { model_name: 'iris', ...request });
  expect([error.code, error.details]).toEqual([3, message]);
});

const answered = (body: string, headers = {}): Behave =>
  server([], (() => ({ kind: 'answer', headers, body })) as unknown as typeof echo);
const output = (more: object): string =>
  JSON.stringify({ outputs: [{ name: 'y', datatype: 'INT8', shape: [1], data: [1], ...more }] });

test.each<[string, string, object, string]>([
  ['is not JSON', '<html>', {}, 'Unexpected token'],
  ['has no outputs', '{}', {}, 'it has no outputs'],
  ['has another shape', output({ shape: [2] }), {}, 'output y: got 1 elements, shape [2] has 2'],
  [
    'does not fit its type',
    output({ data: [128] }),
    {},
    'element 0 is 128, which is not a value of INT8',
  ],
  [
    'has text for numbers',
    output({ data: ['1'] }),
    {},
    'element 0 is string, which is not a value of INT8',
  ],
  [
    'promises bytes that do not come',
    output({ data: undefined, parameters: { binary_data_size: 9 } }),
    {},
    'output y: binary_data_size is 9, but 0 bytes are left in the body',
  ],
  [
    'has a wrong length',
    '{"outputs":[]}',
    { [LENGTH]: '99' },
    'Inference-Header-Content-Length is',
  ],
])('a response that %s is INTERNAL', async (_, body, headers, message) => {
  const { client } = await start(answered(body, headers));
  const input = { name: 'x', datatype: 'INT8', shape: [1], contents: { int_contents: [1] } };
  const error = await client.fail('ModelInfer', { model_name: 'iris', inputs: [input] });
  expect([error.code, error.details]).toEqual([13, expect.stringContaining(message)]);
});

test('nested lists are flattened, and JSON numbers keep their value', async () => {
  const data = '[[9007199254740993], [2.0]]';
  const { client } = await start(
    answered(`{"outputs":[{"name":"y","datatype":"INT64","shape":[2,1],"data":${data}}]}`),
  );
  const got = await through(client, {
    datatype: 'INT8',
    shape: [1],
    contents: { int_contents: [1] },
  });
  expect(got.output?.contents?.['int64_contents']).toEqual(['9007199254740993', '2']);
});
