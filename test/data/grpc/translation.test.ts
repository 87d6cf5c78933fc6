import type { AuditEntry } from '../../../runtime/audit';
import { payloadSampler } from '../../../runtime/audit';
import type { Behave, Seen } from '../../support/backend';
import { json, startBackend, stopBackends } from '../../support/backend';
import { startPlane, stopPlanes } from '../../support/plane';
import { connect, startGrpc, stopGrpc } from './support';

// A call over gRPC to a server that speaks neither gRPC nor V2.

afterEach(async () => {
  await stopGrpc();
  await stopPlanes();
  await stopBackends();
});

type Protocol = 'native' | 'v1' | 'tfs' | 'openai';

async function start(protocol: Protocol, behave: Behave) {
  const backend = await startBackend(behave);
  const lines: AuditEntry[] = [];
  const sampling = { sampleRatio: 1, models: ['*'], redact: [], maxBytes: 100, random: () => 0 };
  const plane = await startPlane({
    audit: (line) => lines.push(line),
    payload: payloadSampler(sampling),
  });
  const server = { kind: 'custom', image: 'a/b:1', protocol } as const;
  plane.route({ input: { id: 'iris', version: 'v1', server }, ports: { stable: [backend.port] } });
  const { port } = await startGrpc(plane);
  return { backend, client: connect(port), lines };
}

const bodyOf = (seen: Seen | undefined): unknown => JSON.parse(seen?.body.toString('utf8') ?? '');

const CALL = {
  model_name: 'iris',
  id: 'call-1',
  inputs: [{ name: 'x', datatype: 'INT64', shape: [2, 2] }],
  raw_input_contents: [Buffer.from(new BigInt64Array([1n, 2n, 3n, 9007199254740993n]).buffer)],
};

test('rows of V1 are requested and come back as a tensor', async () => {
  const { backend, client, lines } = await start('v1', () => json({ predictions: [0.5, 1.5] }));
  const { reply } = await client.call('ModelInfer', CALL);
  expect(backend.seen.map(({ url }) => url)).toEqual(['/v1/models/iris:predict']);
  expect(backend.seen[0]?.body.toString('utf8')).toBe('{"instances":[[1,2],[3,9007199254740993]]}');
  expect(reply.outputs[0]).toMatchObject({ datatype: 'FP64', shape: ['2'] });
  const raw = Buffer.from(new Float64Array([0.5, 1.5]).buffer);
  expect([reply.id, reply.raw_output_contents]).toEqual(['call-1', [raw]]);
  expect(lines).toMatchObject([
    {
      caller: 'test',
      model: 'iris',
      arm: 'stable',
      version: 'v1',
      status: 200,
      // Messages of gRPC are not recorded, and the line says so.
      payload: '{"request":{"omitted":"binary"},"answer":{"omitted":"binary"}}',
    },
  ]);
});

test('TensorFlow Serving gets rows by name', async () => {
  const { backend, client } = await start('tfs', () => json({ predictions: [1, 2] }));
  await client.call('ModelInfer', CALL);
  expect(bodyOf(backend.seen[0])).toMatchObject({
    instances: [{ x: [1, 2] }, { x: [3, 2 ** 53] }],
  });
});

test('each row is an item for a native server', async () => {
  const result = { result: { y: 1 }, confidence: 1 };
  const { backend, client } = await start('native', () => json({ results: [result, result] }));
  const { reply } = await client.call('ModelInfer', CALL);
  expect(backend.seen.map(({ url }) => url)).toEqual(['/batch_inference']);
  expect(reply.outputs[0]).toMatchObject({ name: 'y', shape: ['2'] });
});

test('the metadata of a model whose server has none contain its name and versions', async () => {
  const { client } = await start('native', () => json({}));
  const { reply } = await client.call('ModelMetadata', { name: 'iris' });
  expect(reply).toMatchObject({ name: 'iris', versions: ['v1'], inputs: [], outputs: [] });
});

test('a field that the server does not support is INVALID_ARGUMENT, and named', async () => {
  const { backend, client, lines } = await start('v1', () => json({ predictions: [] }));
  const parameters = { temperature: { double_param: 0.5 } };
  const error = await client.fail('ModelInfer', { ...CALL, parameters });
  expect([error.code, error.details]).toEqual([3, expect.stringContaining('temperature')]);
  expect(backend.seen).toEqual([]);
  expect(lines).toMatchObject([{ model: 'iris', status: 400 }]);
});
