import { rawOf } from '../../../runtime/data/grpc/contents';
import { datatypeOf } from '../../../runtime/data/transcode/datatypes';
import { readModelInferRequest } from '../../../runtime/data/grpc/messages';
import { WireFault, ProtobufWriter } from '../../../runtime/data/grpc/protobuf';
import type { Behave } from '../../support/backend';
import { json, startBackend, stopBackends } from '../../support/backend';
import { startPlane, stopPlanes } from '../../support/plane';
import { connect, startGrpc, stopGrpc } from './support';

// Messages that are well-formed and mean harm.

afterEach(async () => {
  await stopGrpc();
  await stopPlanes();
  await stopBackends();
});

const INPUT = { name: 'x', datatype: 'INT32', shape: [1], contents: { int_contents: [1] } };
const CALL = { model_name: 'iris', inputs: [INPUT] };

async function start(behave: Behave) {
  const backend = await startBackend(behave);
  const plane = await startPlane();
  plane.route({ input: { id: 'iris' }, ports: { stable: [backend.port] } });
  const { port } = await startGrpc(plane);
  return { plane, client: connect(port) };
}

describe('an error text', () => {
  test.each([
    ['that came broken from the server', '{"error":"cannot read \\udc80"}', 'cannot read \ufffd'],
    [
      'that is cut within a character',
      JSON.stringify({ error: `${'a'.repeat(499)}😀` }),
      `${'a'.repeat(499)}\ufffd`,
    ],
  ])('with %s reaches the caller and affects nothing else', async (_, body, details) => {
    const { client } = await start(() => ({ kind: 'answer', status: 400, body }));
    const error = await client.fail('ModelInfer', CALL);
    expect([error.code, error.details]).toEqual([3, details]);
    expect((await client.call('ServerLive')).reply.live).toBe(true);
  });

  test('is cut to the length of a header', async () => {
    const { client } = await start(() => json({}));
    const error = await client.fail('ModelReady', { name: 'é'.repeat(1_000_000) });
    expect([error.code, error.details.length]).toEqual([5, 2000]);
    expect((await client.call('ServerLive')).reply.live).toBe(true);
  });
});

describe('contents', () => {
  const named = new ProtobufWriter().text(1, 'x').text(2, 'FP32').finish();
  const message = (...parts: readonly Buffer[]): Buffer =>
    new ProtobufWriter()
      .text(1, 'iris')
      .bytes(5, Buffer.concat([named, ...parts]))
      .finish();
  const part = (bytes: Buffer): Buffer => new ProtobufWriter().bytes(5, bytes).finish();

  test('in several parts are joined once, not copied for each part', () => {
    const [input] = readModelInferRequest(
      message(part(Buffer.from('ab')), part(Buffer.from('c'))),
    ).inputs;
    expect(input?.contents?.toString()).toBe('abc');
    // A hundred thousand times eight megabytes would take minutes.
    const empty = Buffer.concat(Array<Buffer>(100_000).fill(part(Buffer.alloc(0))));
    expect(() => readModelInferRequest(message(part(Buffer.alloc(8_000_000)), empty))).toThrow(
      WireFault,
    );
  });

  test('written one by one equal the list', () => {
    const bools = Buffer.alloc(200_000, Buffer.from([0x08, 1, 0x08, 0]));
    const raw = rawOf(datatypeOf('BOOL'), bools, 1 << 20);
    expect(raw).toHaveLength(100_000);
    expect([...(raw?.subarray(0, 4) ?? [])]).toEqual([1, 0, 1, 0]);
  });
});
