import { LargeThread } from '../../../runtime/data/thread/large-thread';
import { LARGE_BYTES } from '../../../runtime/shared/json-survey';
import type { Behave } from '../../support/backend';
import { json, startBackend, stopBackends } from '../../support/backend';
import { startPlane, stopPlanes } from '../../support/plane';
import { connect, startGrpc, stopGrpc } from './support';

// Tensors of many elements: none of them is looked at on the event loop.

jest.setTimeout(60_000);

const COUNT = 100_000;
const thread = new LargeThread();

afterEach(async () => {
  jest.restoreAllMocks();
  await stopGrpc();
  await stopPlanes();
  await stopBackends();
});
afterAll(() => thread.close());

async function start(protocol: 'native' | 'v2', behave: Behave) {
  const ran = jest.spyOn(thread, 'run');
  const backend = await startBackend(behave);
  const plane = await startPlane({ thread });
  const input = { id: 'm', server: { kind: 'custom' as const, image: 'a/b:1', protocol } };
  plane.route({ input, ports: { stable: [backend.port] } });
  const { port } = await startGrpc(plane);
  return { backend, client: connect(port), ops: () => ran.mock.calls.map(([task]) => task.op) };
}

const elements = Array.from({ length: COUNT }, (_, at) => at % 200);
const bytes = Buffer.from(Float32Array.from(elements).buffer);

const request = (contents: object, raw?: Buffer) => ({
  model_name: 'm',
  inputs: [{ name: 'x', datatype: 'FP32', shape: [COUNT], ...contents }],
  ...(raw !== undefined && { raw_input_contents: [raw] }),
});
const typed = request({ contents: { fp32_contents: elements } });

const output = { name: 'y', datatype: 'FP32', shape: [COUNT], data: elements };

/** A V2 server without binary tensors. */
const plainV2: Behave = ({ method }) =>
  method === 'GET'
    ? json({ name: 'x', version: '1', extensions: [] })
    : json({ outputs: [output] });

test('typed contents for a JSON server are decoded, encoded and answered in the thread', async () => {
  const { client, backend, ops } = await start('v2', plainV2);
  const { reply } = await client.call('ModelInfer', typed);
  expect(reply.outputs[0]?.contents?.['fp32_contents']).toEqual(elements);
  const asked = JSON.parse(backend.seen.at(-1)?.body.toString() ?? '') as typeof typed;
  expect(asked.inputs[0]).toEqual({ ...output, name: 'x' });
  expect(ops()).toEqual(['grpc tensors', 'grpc json', 'grpc decode']);
});

test('raw contents for a JSON server are encoded and answered in the thread', async () => {
  const { client, ops } = await start('v2', plainV2);
  const { reply } = await client.call('ModelInfer', request({}, bytes));
  expect(reply.raw_output_contents).toEqual([bytes]);
  expect(ops()).toEqual(['grpc json', 'grpc decode']);
});

test('raw contents pass to a server of binary tensors, and back, without the thread', async () => {
  const { client, ops } = await start('v2', ({ method }) => {
    if (method === 'GET') return json({ extensions: ['binary_tensor_data'] });
    const parameters = { binary_data_size: bytes.length };
    const head = Buffer.from(
      JSON.stringify({ outputs: [{ ...output, data: undefined, parameters }] }),
    );
    const headers = { 'inference-header-content-length': String(head.length) };
    return { kind: 'answer', headers, body: Buffer.concat([head, bytes]) };
  });
  const { reply } = await client.call('ModelInfer', request({}, bytes));
  expect(reply.raw_output_contents).toEqual([bytes]);
  expect(bytes.length).toBeGreaterThan(LARGE_BYTES);
  expect(ops()).toEqual([]);
});

test('calls to a native server are encoded and decoded in the thread', async () => {
  const row = { ...typed, inputs: [{ ...typed.inputs[0], shape: [1, COUNT] }] };
  const { client, backend, ops } = await start('native', () => json({ result: { y: [1.5, 2] } }));
  const { reply } = await client.call('ModelInfer', row);
  expect(reply.outputs[0]?.name).toBe('y');
  const asked = JSON.parse(backend.seen.at(-1)?.body.toString() ?? '') as {
    input_data: { x: number[] };
  };
  expect(asked.input_data.x).toEqual(elements);
  expect(ops()).toEqual(['grpc tensors', 'grpc encode', 'grpc decode']);
});

test('invalid contents and invalid responses have the errors of small calls', async () => {
  const { client } = await start('v2', ({ method }) =>
    method === 'GET' ? json({ extensions: [] }) : json({ outputs: [{ ...output, shape: [3] }] }),
  );
  const bad = { ...typed, inputs: [{ ...typed.inputs[0], shape: [COUNT + 1] }] };
  await expect(client.call('ModelInfer', bad)).rejects.toThrow(/input x: .*100001/);
  await expect(client.call('ModelInfer', typed)).rejects.toThrow(/output y: /);
});
