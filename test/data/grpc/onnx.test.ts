import { stopPlanes, startPlane } from '../../support/plane';
import type { TestServer } from '../../onnx/support/server';
import { fixtures, startServer } from '../../onnx/support/server';
import { connect, startGrpc, stopGrpc } from './support';

// The built-in ONNX server behind the port: its binary tensors are the raw contents of gRPC.

let server: TestServer;

beforeAll(async () => {
  const models = fixtures('identity_int64', 'identity_fp16', 'identity_string', 'batchable');
  server = await startServer({ models });
});

afterEach(async () => {
  await stopGrpc();
  await stopPlanes();
});

afterAll(async () => {
  await server.stop();
});

async function start(id: string) {
  const plane = await startPlane();
  plane.route({ input: { id }, ports: { stable: [server.port] } });
  const { port } = await startGrpc(plane);
  return { client: connect(port), plane };
}

test.each([
  ['identity_int64', 'INT64', Buffer.from('0100000000002000ffffffffffffffff', 'hex')],
  ['identity_fp16', 'FP16', Buffer.from('003c00bc', 'hex')],
  ['identity_string', 'BYTES', Buffer.from('06000000e5a4b4e7979b00000000', 'hex')],
])('%s returns the identical bytes', async (model_name, datatype, raw) => {
  const { client } = await start(model_name);
  const inputs = [{ name: 'x', datatype, shape: [1, 2] }];
  const request = { model_name, inputs, raw_input_contents: [raw] };
  const { reply } = await client.call('ModelInfer', request);
  expect(reply.raw_output_contents).toEqual([raw]);
  expect(reply.outputs).toMatchObject([{ datatype, shape: ['1', '2'], contents: null }]);
});

test('integers beyond 2^53 and texts pass as typed contents, too', async () => {
  const ints = await start('identity_int64');
  const numbers = ['9007199254740993', '-9223372036854775808'];
  const { reply } = await ints.client.call('ModelInfer', {
    model_name: 'identity_int64',
    inputs: [
      { name: 'x', datatype: 'INT64', shape: [1, 2], contents: { int64_contents: numbers } },
    ],
  });
  expect(reply.outputs[0]?.contents?.['int64_contents']).toEqual(numbers);
  const texts = await start('identity_string');
  const got = await texts.client.call('ModelInfer', {
    model_name: 'identity_string',
    inputs: [
      {
        name: 'x',
        datatype: 'BYTES',
        shape: [1, 1],
        contents: { bytes_contents: [Buffer.from('头痛')] },
      },
    ],
  });
  expect(got.reply.outputs[0]?.contents?.['bytes_contents']).toEqual([Buffer.from('头痛')]);
});

test('metadata come from the graph, and its message about bad input reaches the caller', async () => {
  const { client, plane } = await start('batchable');
  const { reply } = await client.call('ModelMetadata', { name: 'batchable' });
  expect(reply).toMatchObject({ name: 'batchable', platform: 'onnx_onnxv1', versions: ['v1'] });
  expect(reply.inputs.length).toBeGreaterThan(0);
  const inputs = [{ name: 'nope', datatype: 'FP32', shape: [1], contents: { fp32_contents: [1] } }];
  const error = await client.fail('ModelInfer', { model_name: 'batchable', inputs });
  expect([error.code, error.details]).toEqual([3, expect.stringContaining('no input "nope"')]);
  expect(plane.outcomes).toMatchObject([{ status: 400 }]);
});
