import type { Metadata } from '@grpc/grpc-js';
import { compressionAlgorithms } from '@grpc/grpc-js';
import type { Authenticate } from '../../../runtime/auth/port';
import type { Behave } from '../../support/backend';
import { freePort, json, startBackend, stopBackends } from '../../support/backend';
import type { PlaneOptions } from '../../support/plane';
import { startPlane, stopPlanes, until } from '../../support/plane';
import { bare, connect, startGrpc, stopGrpc } from './support';

// gRPC goes through the same steps as HTTP: who may, which arm, which replica, and what is told.

afterEach(async () => {
  await stopGrpc();
  await stopPlanes();
  await stopBackends();
});

const ANSWER = { outputs: [{ name: 'y', datatype: 'INT32', shape: [1], data: [7] }] };
const well: Behave = () => json(ANSWER);
const INPUT = { name: 'x', datatype: 'INT32', shape: [1], contents: { int_contents: [1] } };
const CALL = { model_name: 'iris', inputs: [INPUT] };
const NEXT = { name: 'next', version: 'v2', source: './b.onnx', traffic: 10 };

const RANK: Readonly<Record<string, readonly ('infer' | 'arms')[]>> = {
  caller: ['infer'],
  tester: ['infer', 'arms'],
};
const byKey: Authenticate = ({ fields }) => {
  const key = fields.get('x-api-key') ?? fields.get('authorization')?.replace('Bearer ', '');
  const scopes = RANK[key ?? ''];
  if (scopes === undefined) return { ok: false, code: 'UNAUTHENTICATED', message: 'no such key' };
  return { ok: true, caller: { name: key ?? '', scopes: [...scopes], models: ['iris'] } };
};

async function start(behaves: readonly Behave[], input = {}, options: PlaneOptions = {}) {
  const backends = await Promise.all(behaves.map((behave) => startBackend(behave)));
  const plane = await startPlane(options);
  const ports = { stable: backends.map(({ port }) => port) };
  plane.route({ input: { id: 'iris', ...input }, ports });
  const { port } = await startGrpc(plane);
  return { backends, plane, port, client: connect(port) };
}

const text = (metadata: Metadata, name: string): unknown => metadata.get(name)[0];
const idle = (plane: Awaited<ReturnType<typeof startPlane>>): boolean =>
  plane.load.arms().every(({ inFlight, queued }) => inFlight === 0 && queued === 0);

describe('calls that the router answers itself', () => {
  test('are live, ready, server metadata, and the list of models', async () => {
    let isReady = true;
    const { plane, client, backends } = await start([well], {}, { isReady: () => isReady });
    const [port] = backends.map((one) => one.port);
    plane.route(
      { input: { id: 'iris' }, ports: { stable: [port as number] } },
      { input: { id: 'empty' }, ports: {} },
    );
    expect((await client.call('ServerLive')).reply.live).toBe(true);
    expect((await client.call('ServerReady')).reply.ready).toBe(true);
    isReady = false;
    expect((await client.call('ServerReady')).reply.ready).toBe(false);
    expect((await client.call('ServerMetadata')).reply).toEqual({
      name: 'ai-model-service',
      version: '1.2.3',
      extensions: ['model_repository'],
    });
    const iris = { name: 'iris', version: 'v1', state: 'READY', reason: '' };
    const empty = {
      name: 'empty',
      version: 'v1',
      state: 'UNAVAILABLE',
      reason: 'no ready replica',
    };
    expect((await client.call('RepositoryIndex')).reply.models).toEqual([iris, empty]);
    expect((await client.call('RepositoryIndex', { ready: true })).reply.models).toEqual([iris]);
    expect((await client.call('ModelReady', { name: 'iris' })).reply.ready).toBe(true);
    expect((await client.call('ModelReady', { name: 'empty' })).reply.ready).toBe(false);
    expect([backends[0]?.seen, plane.outcomes]).toEqual([[], []]);
  });

  test('get model metadata from the server, take no slot, and name the serving versions', async () => {
    const tensor = { name: 'x', datatype: 'FP32', shape: [-1, 4] };
    const about = {
      name: 'iris',
      versions: ['9'],
      platform: 'onnx',
      inputs: [tensor],
      outputs: [],
    };
    const { client, backends, plane } = await start([() => json(about)]);
    const { reply, metadata } = await client.call('ModelMetadata', { name: 'iris' });
    expect(reply).toEqual({
      name: 'iris',
      versions: ['v1'],
      platform: 'onnx',
      inputs: [{ ...tensor, shape: ['-1', '4'] }],
      outputs: [],
    });
    expect(text(metadata, 'x-ai-model-arm')).toBe('stable');
    expect(backends[0]?.seen.map(({ method, url }) => `${method} ${url}`)).toEqual([
      'GET /v2/models/iris',
    ]);
    expect(plane.outcomes).toEqual([]);
  });

  test('of an unknown method are UNIMPLEMENTED, and the port continues', async () => {
    const { client, port } = await start([well]);
    expect(await bare(port, 'ModelConfig', Buffer.alloc(0))).toMatchObject({ code: 12 });
    expect((await client.call('ServerLive')).reply.live).toBe(true);
  });
});

describe('authentication over gRPC', () => {
  test.each<[string, Readonly<Record<string, string>>, string, number]>([
    ['nobody', {}, 'iris', 16],
    ['a stranger', { 'x-api-key': 'x' }, 'iris', 16],
    ['a caller by x-api-key', { 'x-api-key': 'caller' }, 'iris', 0],
    ['a caller by authorization', { authorization: 'Bearer caller' }, 'iris', 0],
    ['a caller of another’s model', { 'x-api-key': 'caller' }, 'secret', 7],
  ])('%s', async (_, headers, model, code) => {
    const { client, backends } = await start([well], {}, { authenticate: byKey });
    const call = client.call('ModelInfer', { ...CALL, model_name: model }, headers);
    expect(
      await call.then(
        () => 0,
        ({ code: got }: { code: number }) => got,
      ),
    ).toBe(code);
    expect(backends[0]?.seen).toHaveLength(code === 0 ? 1 : 0);
  });

  test('precedes the reading of the message, for every method', async () => {
    const { client } = await start([well], {}, { authenticate: byKey });
    for (const method of ['ServerLive', 'ServerReady', 'ServerMetadata', 'RepositoryIndex']) {
      expect((await client.fail(method)).code).toBe(16);
    }
    const large = { ...CALL, raw_input_contents: [Buffer.alloc(8_000_000)] };
    const error = await client.fail('ModelInfer', large);
    expect([error.code, error.details]).toEqual([16, 'no such key']);
    expect(text(error.metadata, 'x-request-id')).toMatch(/^id-/);
  });

  test('limits metadata as configured', async () => {
    const { plane } = await start([well]);
    const { port } = await startGrpc(plane, { maxMetadataBytes: 2000 });
    const error = await connect(port).fail('ServerLive', {}, { 'x-a': 'a'.repeat(2000) });
    expect([error.code, error.details]).toEqual([
      8,
      'metadata have more than 2000 bytes; send less (server.max_header_bytes)',
    ]);
  });

  test('passes no credential to the server, and the listed metadata', async () => {
    const headers = {
      authorization: 'Bearer caller',
      'x-api-key': 'caller',
      cookie: 'a=b',
      'x-user-id': 'u1',
      'x-remote-user': 'u1',
      'x-own': 'yes',
      'x-request-id': 'mine',
      'inference-header-content-length': '3',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    };
    const { client, backends, plane } = await start([well], {}, { authenticate: byKey });
    const { metadata } = await client.call('ModelInfer', CALL, headers);
    const seen = backends[0]?.seen[0]?.headers ?? {};
    expect(Object.keys(seen).sort()).toEqual([
      'content-length',
      'content-type',
      'host',
      'inference-header-content-length',
      'traceparent',
      'user-agent',
      'x-ai-model-deadline-ms',
      'x-forwarded-for',
      'x-forwarded-proto',
      'x-own',
      'x-request-id',
    ]);
    expect(seen).toMatchObject({ 'x-request-id': 'mine', 'x-forwarded-for': '127.0.0.1' });
    expect(Number(seen['inference-header-content-length'])).toBeGreaterThan(3);
    expect(metadata.getMap()).toMatchObject({
      'x-request-id': 'mine',
      traceparent: headers.traceparent,
      'x-ai-model-arm': 'stable',
      'x-ai-model-version': 'v1',
    });
    expect(plane.outcomes).toMatchObject([{ traceId: '0af7651916cd43dd8448eb211c80319c' }]);
  });
});

describe('the arm of a gRPC call', () => {
  async function two(options: PlaneOptions = {}) {
    const [one, other] = await Promise.all([startBackend(well), startBackend(well)]);
    const plane = await startPlane(options);
    plane.route({
      input: { id: 'iris', candidates: [NEXT] },
      ports: { stable: [one.port], next: [other.port] },
    });
    const { port } = await startGrpc(plane);
    return { client: connect(port), plane };
  }

  test("is that of the request's version, or of x-ai-model-arm, for callers with the right", async () => {
    const { client } = await two({ authenticate: byKey });
    const tester = { 'x-api-key': 'tester' };
    const ask = async (version: string, headers: Readonly<Record<string, string>>) => {
      const call = { ...CALL, model_version: version };
      const { reply, metadata } = await client.call('ModelInfer', call, headers);
      return [reply.model_name, reply.model_version, text(metadata, 'x-ai-model-arm')];
    };
    expect(await ask('v2', tester)).toEqual(['iris', 'v2', 'next']);
    expect(await ask('v1', tester)).toEqual(['iris', 'v1', 'stable']);
    expect(await ask('', { ...tester, 'x-ai-model-arm': 'next' })).toEqual(['iris', 'v2', 'next']);
    const fail = (version: string, headers: object) =>
      client.fail('ModelInfer', { ...CALL, model_version: version }, { ...headers });
    const unknown = await fail('v9', tester);
    expect([unknown.code, unknown.details]).toEqual([
      5,
      'model iris has no version v9, it has v1, v2',
    ]);
    expect((await fail('', { ...tester, 'x-ai-model-arm': 'x' })).code).toBe(3);
    const caller = await fail('v2', { 'x-api-key': 'caller' });
    expect([caller.code, caller.details]).toEqual([
      7,
      'a version by name needs the scope arms; caller lacks it',
    ]);
  });

  test('follows the cohort key in metadata as over HTTP', async () => {
    const { client, plane } = await two();
    for (const key of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n']) {
      const headers = { 'x-user-id': key };
      const { metadata } = await client.call('ModelInfer', CALL, headers);
      const http = await plane.post('/v2/models/iris/infer', {}, headers);
      expect([key, text(metadata, 'x-ai-model-arm')]).toEqual([
        key,
        http.headers['x-ai-model-arm'],
      ]);
    }
  });

  test('copies its calls to a shadow, whose response is compared', async () => {
    const other = { outputs: [{ name: 'y', datatype: 'INT32', shape: [1], data: [8] }] };
    const [one, copy] = await Promise.all([startBackend(well), startBackend(() => json(other))]);
    const plane = await startPlane();
    const shadow = { name: 'next', version: 'v2', source: './b.onnx', shadow: 100 };
    plane.route({
      input: { id: 'iris', candidates: [shadow] },
      ports: { stable: [one.port], next: [copy.port] },
    });
    const { port } = await startGrpc(plane);
    await connect(port).call('ModelInfer', CALL);
    await until(() => plane.shadows.length === 1, 'a report');
    expect(plane.shadows).toMatchObject([{ arm: 'next', verdict: 'disagree', differing: ['y'] }]);
    expect(copy.seen[0]?.body).toEqual(one.seen[0]?.body);
  });

  test('compares the response of a shadow in values that JSON cannot express, too', async () => {
    const y = (data: readonly unknown[]): Behave => {
      return () => json({ outputs: [{ name: 'y', datatype: 'FP32', shape: [2], data }] });
    };
    const [one, copy] = await Promise.all([startBackend(y([null, 1])), startBackend(y([null, 1]))]);
    const plane = await startPlane();
    const shadow = { name: 'next', version: 'v2', source: './b.onnx', shadow: 100 };
    plane.route({
      input: { id: 'iris', candidates: [shadow] },
      ports: { stable: [one.port], next: [copy.port] },
    });
    const { port } = await startGrpc(plane);
    await connect(port).call('ModelInfer', CALL);
    await until(() => plane.shadows.length === 1, 'a report');
    expect(plane.shadows).toMatchObject([{ verdict: 'agree' }]);
  });
});

describe('errors over gRPC', () => {
  test.each<[string, Behave, number, string]>([
    ['400', () => json({ error: 'x is too long' }, 400), 3, 'x is too long'],
    ['404', () => json({ error: 'no' }, 404), 3, 'no'],
    ['413', () => json({ error: 'large' }, 413), 8, 'model iris answered 413: large'],
    ['429', () => json({}, 429), 14, 'model iris answered 429: {}'],
    ['500', () => json({ error: 'oops' }, 500), 14, 'model iris answered 500: oops'],
    ['503', () => json({}, 503), 14, 'model iris answered 503: {}'],
    ['504', () => json({}, 504), 4, 'model iris answered 504: {}'],
    ['a reset', () => ({ kind: 'reset' }), 14, 'broke the connection (2 tries)'],
    ['no HTTP', () => ({ kind: 'garbage', bytes: 'hello\r\n\r\n' }), 13, 'no valid answer'],
  ])('map %s of the server', async (_, behave, code, message) => {
    const { client, plane } = await start([behave]);
    const error = await client.fail('ModelInfer', CALL);
    expect([error.code, error.details]).toEqual([code, expect.stringContaining(message)]);
    expect(text(error.metadata, 'x-request-id')).toBe('id-1');
    await until(() => idle(plane), 'nothing in flight');
    expect([plane.outcomes.length, plane.faults]).toEqual([1, []]);
  });

  test('report a model that does not exist, and one with another protocol', async () => {
    const { client, plane, backends } = await start([well]);
    const none = await client.fail('ModelInfer', { ...CALL, model_name: 'none' });
    expect([none.code, none.details]).toEqual([
      5,
      'there is no model none; GET /api/v1/models lists them',
    ]);
    const server = { kind: 'custom', image: 'a/b:1', protocol: 'openai' } as const;
    const ports = { stable: [backends[0]?.port ?? 0] };
    plane.route({ input: { id: 'iris', server }, ports });
    const other = await client.fail('ModelInfer', CALL);
    expect([other.code, other.details]).toEqual([
      3,
      expect.stringContaining('which has no infer (v2); it has POST /openai/v1/chat/completions'),
    ]);
    expect(backends[0]?.seen).toEqual([]);
  });

  test('of a full model are UNAVAILABLE with a retry delay', async () => {
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const slow: Behave = () => ({ kind: 'answer', after: held, body: JSON.stringify(ANSWER) });
    const inference = { maxConcurrency: 1, maxQueueDepth: 0 };
    const { client, backends } = await start([slow], { inference });
    const busy = client.call('ModelInfer', CALL);
    await until(() => backends[0]?.seen.length === 1, 'the request at the server');
    const error = await client.fail('ModelInfer', CALL);
    expect([error.code, Number(text(error.metadata, 'retry-after'))]).toEqual([
      14,
      expect.any(Number),
    ]);
    release();
    expect((await busy).reply.outputs[0]?.contents?.['int_contents']).toEqual([7]);
  });

  test('are avoided by another replica when the first broke', async () => {
    const { client, plane, backends } = await start([well], {}, { random: () => 0 });
    const alive = backends.map(({ port }) => port);
    plane.route({ input: { id: 'iris' }, ports: { stable: [await freePort(), ...alive] } });
    for (let count = 0; count < 6; count += 1) await client.call('ModelInfer', CALL);
    expect(plane.outcomes.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
    expect(plane.outcomes.some(({ tries }) => tries === 2)).toBe(true);
  });

  test.each<[string, string, string]>([
    ['ends within a text', '0a05697269', 'it ends within a field'],
    ['has a number without end', '0a0469726973ffffffffffffffffffffff', 'more than ten bytes'],
    ['has an input that is a number', '0a04697269732801', 'field 5 must be a text, bytes'],
    ['has an unknown wire type', '0a04697269732f', 'unknown wire type 7'],
  ])('refuse a message that %s', async (_, bytes, message) => {
    const { port, backends } = await start([well]);
    const error = await bare(port, 'ModelInfer', Buffer.from(bytes, 'hex'));
    expect([error?.code, error?.details]).toEqual([3, expect.stringContaining(message)]);
    expect(backends[0]?.seen).toEqual([]);
  });

  test('refuse a message beyond the limit, also one that inflates beyond it', async () => {
    const { client, plane, backends } = await start([well], { inference: { maxBodyBytes: 1024 } });
    const contents = { bytes_contents: [Buffer.alloc(1025, 'a')] };
    const input = { name: 'x', datatype: 'BYTES', shape: [1], contents };
    const error = await client.fail('ModelInfer', { ...CALL, inputs: [input] });
    expect([error.code, error.details]).toEqual([
      8,
      'the body has more than 1024 bytes; send less (inference.max_body_bytes)',
    ]);
    // One byte of a varint is eight of a tensor.
    const zeros = { int64_contents: Array.from({ length: 200 }, () => 0) };
    const wide = { name: 'x', datatype: 'INT64', shape: [200], contents: zeros };
    expect((await client.fail('ModelInfer', { ...CALL, inputs: [wide] })).code).toBe(8);
    const small = connect((await startGrpc(plane, { maxMessageBytes: 2000 })).port);
    const name = { model_name: 'a'.repeat(3000) };
    expect((await small.fail('ModelInfer', name)).code).toBe(8);
    expect(backends[0]?.seen).toEqual([]);
  });

  test('bound inflated gzip by the limit', async () => {
    const { client, plane, port } = await start([well]);
    const gzip = { 'grpc.default_compression_algorithm': compressionAlgorithms.gzip };
    expect((await connect(port, gzip).call('ModelInfer', CALL)).reply.model_name).toBe('iris');
    const small = await startGrpc(plane, { maxMessageBytes: 5000 });
    const bomb = { model_name: 'a'.repeat(1_000_000) };
    const error = await connect(small.port, gzip).fail('ModelInfer', bomb);
    expect([error.code, error.details]).toEqual([8, expect.stringContaining('5000')]);
    expect((await client.call('ServerLive')).reply.live).toBe(true);
  });
});

describe('deadlines over gRPC', () => {
  test('of the caller shorten the model’s, and are passed to the server', async () => {
    const { client, backends } = await start([well], { inference: { timeoutSeconds: 30 } });
    await client.call('ModelInfer', CALL, {}, { deadline: Date.now() + 10_000 });
    await client.call('ModelInfer', CALL, {}, { deadline: Infinity });
    const [short, long] = (backends[0]?.seen ?? []).map(({ headers }) =>
      Number(headers['x-ai-model-deadline-ms']),
    );
    expect(short).toBeGreaterThan(1000);
    expect(short).toBeLessThanOrEqual(10_000);
    expect(long).toBeGreaterThan(20_000);
  });

  test('end the call on all sides', async () => {
    const { client, backends, plane } = await start([() => ({ kind: 'silence' })]);
    const call = client.fail('ModelInfer', CALL, {}, { deadline: Date.now() + 1500 });
    await until(() => backends[0]?.inFlight() === 1, 'the request at the server');
    expect((await call).code).toBe(4);
    await until(() => backends[0]?.inFlight() === 0, 'nothing at the server');
    await until(() => idle(plane), 'nothing in flight');
  });

  test('of the model end it, too', async () => {
    const inference = { timeoutSeconds: 1 };
    const { client, plane } = await start([() => ({ kind: 'silence' })], { inference });
    const error = await client.fail('ModelInfer', CALL);
    expect([error.code, error.details]).toEqual([4, expect.stringContaining('in time')]);
    expect(plane.outcomes).toMatchObject([{ status: 504 }]);
  });

  test('a cancelled call reaches the server, and no replica is blamed', async () => {
    const inference = { maxConcurrency: 20 };
    const { client, backends, plane } = await start([() => ({ kind: 'silence' })], { inference });
    const calls = Array.from({ length: 20 }, () => client.begin('ModelInfer', CALL));
    await until(() => backends[0]?.inFlight() === 20, 'the requests at the server');
    for (const call of calls) call.cancel();
    expect(await Promise.all(calls.map(({ ended }) => ended))).toEqual(calls.map(() => 1));
    await until(() => backends[0]?.inFlight() === 0, 'nothing at the server');
    await until(() => plane.outcomes.length === 20, 'the outcomes');
    expect(plane.outcomes.every(({ status }) => status === 499)).toBe(true);
    expect([idle(plane), plane.faults]).toEqual([true, []]);
  });
});
