import { gzipSync } from 'node:zlib';
import type { Authenticate } from '../../runtime/auth/port';
import { defaultHeldBytes, HeldBytes, MemoryFull, memoryOf } from '../../runtime/shared/held-bytes';
import type { Behave } from '../support/backend';
import { json, startBackend, stopBackends } from '../support/backend';
import type { PlaneOptions, TestPlane } from '../support/plane';
import { startPlane, stopPlanes, until } from '../support/plane';
import { chunked, headOf, LAST, startUploader, stopUploads } from '../support/uploads';
import { connect, startGrpc, stopGrpc } from './grpc/support';

// How much memory requests may hold: all of them, and those of one caller.

afterEach(async () => {
  await stopUploads();
  await stopGrpc();
  await stopPlanes();
  await stopBackends();
});

jest.setTimeout(30_000);

const KIB = 1024;
const MIB = 1024 * KIB;
const NATIVE = { path: '/api/v1/models/iris/inference' };

/** Whoever says a name has it. */
const byName: Authenticate = ({ fields: headers }) => ({
  ok: true,
  caller: { name: headers.get('x-name') ?? 'anonymous', scopes: ['admin'] },
});

interface Scene {
  readonly plane: TestPlane;
  readonly held: HeldBytes;
}

const never: Behave = () => ({ kind: 'silence' });
const echo: Behave = () => json({ result: 1, confidence: 1 });

async function scene(max: number, behave = echo, options: PlaneOptions = {}): Promise<Scene> {
  const backend = await startBackend(behave);
  const held = new HeldBytes(max);
  const plane = await startPlane({ held, authenticate: byName, ...options });
  const input = { id: 'iris', inference: { maxConcurrency: 64, maxBodyBytes: 10 * MIB } };
  plane.route({ input, ports: { stable: [backend.port] } });
  return { plane, held };
}

describe('memory for requests', () => {
  test('is limited to half for one caller; the other half stays for others', () => {
    const held = new HeldBytes(100);
    const [one, other, third] = ['a', 'b', 'c'].map((name) => held.of(name));
    one?.take(50);
    expect(() => one?.take(1)).toThrow(new MemoryFull('caller'));
    other?.take(45);
    expect(() => third?.take(6)).toThrow(new MemoryFull('service'));
    expect([held.bytes, held.refused]).toEqual([95, { service: 1, caller: 1 }]);
    one?.release();
    third?.take(6);
    expect(held.bytes).toBe(51);
  });

  test('is shared by several requests of one caller', () => {
    const held = new HeldBytes(100);
    held.of('a').take(30);
    expect(() => held.of('a').take(21)).toThrow(MemoryFull);
  });

  test('used before the caller was known counts to it then', () => {
    const held = new HeldBytes(100);
    const one = held.of('10.0.0.1');
    one.take(40);
    one.belongsTo('key');
    expect(() => held.of('key').take(11)).toThrow(MemoryFull);
    held.of('10.0.0.1').take(50);
  });

  test('is empty after a request, whatever arrives later for it', () => {
    const held = new HeldBytes(100);
    const one = held.of('a');
    one.take(40);
    one.release();
    one.take(40);
    one.give(10);
    expect(held.bytes).toBe(0);
  });

  test.each([
    ['a container of 512 MiB', 512 * MIB, 64 * 1024 * MIB, 128 * MIB],
    ['a large container', 8 * 1024 * MIB, 64 * 1024 * MIB, 256 * MIB],
    ['no limit', 0, 1024 * MIB, 256 * MIB],
    ['no limit on a small machine', 0, 400 * MIB, 100 * MIB],
    ['cgroup v1, whose “none” is a huge number', 2 ** 63, 400 * MIB, 100 * MIB],
  ])('by default, in %s', (_, constrained, total, bytes) => {
    expect(defaultHeldBytes(memoryOf(constrained, total))).toBe(bytes);
  });
});

describe('bodies', () => {
  test('that stall keep their memory; the next is refused before it is read', async () => {
    const { plane, held } = await scene(64 * MIB);
    const uploads = Array.from({ length: 45 }, () => startUploader(plane.port));
    for (const one of uploads) await one.send(headOf(10 * MIB, NATIVE) + '{"input_data":');
    const refused = (): number => uploads.filter(({ text }) => text().includes(' 503 ')).length;
    await until(() => refused() === 42, 'refusals');
    expect(held.bytes).toBe(30 * MIB);
    const said = uploads.map(({ text }) => text()).find((text) => text !== '') ?? '';
    expect(said).toMatch(/\r\nretry-after: \d+\r\n/);
    expect(said).toContain('"code":"QUEUE_FULL"');
    expect(said).toContain('your requests in flight hold as much memory as one caller may');
    for (const { socket } of uploads) socket.destroy();
    await until(() => held.bytes === 0, 'release');
  });

  test('of others are read while one caller is at its limit', async () => {
    const { plane } = await scene(40 * MIB);
    for (let nth = 0; nth < 2; nth += 1) {
      const headers = 'X-Name: greedy\r\n';
      await startUploader(plane.port).send(headOf(10 * MIB, { ...NATIVE, headers }));
    }
    await until(() => plane.data.plane.held.bytes === 20 * MIB, 'two uploads');
    const ask = (name: string) => plane.post(NATIVE.path, { input_data: {} }, { 'x-name': name });
    expect([(await ask('greedy')).status, (await ask('modest')).status]).toEqual([503, 200]);
  });

  test('are not requested with 100 Continue when there is no memory for them', async () => {
    const { plane } = await scene(MIB);
    const one = startUploader(plane.port);
    await one.send(headOf(2 * MIB, { ...NATIVE, headers: 'Expect: 100-continue\r\n' }));
    await one.hears(' 503 ');
    expect(one.text()).not.toContain('100 Continue');
  });

  test('without a length are counted while they arrive', async () => {
    const { plane, held } = await scene(MIB);
    const one = startUploader(plane.port);
    await one.send(headOf(undefined, NATIVE));
    for (let nth = 0; nth < 9; nth += 1) await one.send(chunked(Buffer.alloc(64 * KIB, 32)));
    await one.hears(' 503 ');
    expect(held.bytes).toBe(0);
  });

  test('that are compressed count with their inflated size', async () => {
    const { plane, held } = await scene(8 * MIB);
    const body = gzipSync(Buffer.alloc(9 * MIB, 32));
    const headers = { 'content-encoding': 'gzip' };
    const got = await plane.ask(NATIVE.path, { method: 'POST', headers, body });
    expect([got.status, held.bytes]).toEqual([503, 0]);
    expect(body.length).toBeLessThan(64 * KIB);
  });

  test('of requests that wait for a model count until they are over', async () => {
    const { plane, held } = await scene(64 * MIB, never);
    const gone = new AbortController();
    const body = JSON.stringify({ input_data: { x: 'a'.repeat(MIB) } });
    const asked = plane.ask(NATIVE.path, { method: 'POST', body, signal: gone.signal });
    await until(() => held.bytes >= body.length, 'the body');
    gone.abort();
    await expect(asked).rejects.toThrow('aborted');
    await until(() => held.bytes === 0, 'release');
  });

  test.each([
    ['OpenAI', '/openai/v1/embeddings', '{"error":{"message":'],
    ['V1', '/v1/models/iris:predict', '{"error":"'],
    ['a batch', '/api/v1/models/iris/batch_inference', '{"status":"error"'],
  ])('of %s are refused in the shape of their protocol', async (_, path, begin) => {
    const { plane } = await scene(100 * KIB);
    const one = startUploader(plane.port);
    await one.send(headOf(9 * MIB, { path }));
    await one.hears('\r\n\r\n{');
    expect(one.text()).toMatch(/^HTTP\/1.1 503 /);
    expect(one.text()).toContain(begin);
  });

  test('of the management API count, too', async () => {
    const { plane } = await scene(64 * KIB, echo, { management: { path: '/nowhere' } });
    const one = startUploader(plane.port);
    await one.send(headOf(100 * KIB, { path: '/api/v1/models/deploy' }));
    await one.hears(' 503 ');
  });

  test('over gRPC are refused while they arrive', async () => {
    const { plane, held } = await scene(4 * MIB);
    const { port } = await startGrpc(plane, { maxMessageBytes: 64 * MIB });
    const raw_input_contents = [Buffer.alloc(8 * MIB)];
    const input = { name: 'x', datatype: 'UINT8', shape: [8 * MIB] };
    const error = await connect(port).fail('ModelInfer', {
      model_name: 'iris',
      inputs: [input],
      raw_input_contents,
    });
    expect([error.code, error.details]).toEqual([14, expect.stringContaining('hold as much')]);
    await until(() => held.bytes === 0, 'release');
  });

  test('that trickle end when too few bytes arrive in the body timeout', async () => {
    const { plane, held } = await scene(64 * MIB, echo, { callers: { bodyMs: 60 } });
    const one = startUploader(plane.port);
    await one.send(headOf(MIB, NATIVE));
    const trickle = setInterval(() => void one.send(' '), 10);
    await one.hears(' 408 ');
    clearInterval(trickle);
    expect(held.bytes).toBe(0);
  });

  test('that arrive in time are accepted, however long they take', async () => {
    const { plane } = await scene(64 * MIB, echo, { callers: { bodyMs: 600 } });
    const one = startUploader(plane.port);
    const body = Buffer.from(JSON.stringify({ input_data: { x: 'a'.repeat(512 * KIB) } }));
    await one.send(headOf(body.length, NATIVE));
    for (let at = 0; at < body.length; at += 64 * KIB) {
      await new Promise((resolve) => setTimeout(resolve, 90));
      await one.send(body.subarray(at, at + 64 * KIB));
    }
    await one.hears(' 200 ');
  });
});

describe('responses that are read whole', () => {
  const large: Behave = () => json({ result: 'a'.repeat(3 * MIB), confidence: 1 });

  test('are refused without memory for them, and no server is blamed', async () => {
    const { plane, held } = await scene(4 * MIB, large);
    const got = await plane.post(NATIVE.path, { input_data: {} });
    expect([got.status, got.headers['retry-after']]).toEqual([503, expect.any(String)]);
    await until(() => plane.outcomes.length === 1, 'the outcome');
    expect(plane.outcomes[0]).toMatchObject({ status: 503, tries: 1 });
    const again = await plane.post(NATIVE.path, { input_data: {} });
    expect(again.text).toContain('hold as much memory');
    expect(held.bytes).toBe(0);
  });

  test('return their memory', async () => {
    const { plane, held } = await scene(64 * MIB, large);
    expect((await plane.post(NATIVE.path, { input_data: {} })).status).toBe(200);
    await until(() => held.bytes === 0, 'release');
  });

  test('in chunks of one byte count with their memory, not an object for each byte', async () => {
    const text = `{"result":"${'a'.repeat(400 * KIB)}","confidence":1}`;
    const chunks = [...text].map((one) => `1\r\n${one}\r\n`).join('');
    const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
    const bytes = `${head}${chunks}${LAST.toString()}`;
    const { plane, held } = await scene(2 * MIB, () => ({ kind: 'raw', bytes, last: 'stay' }));
    let most = 0;
    const watch = setInterval(() => (most = Math.max(most, held.bytes)), 1);
    const got = await plane.post(NATIVE.path, { input_data: {} });
    clearInterval(watch);
    expect(got.status).toBe(200);
    expect(most).toBeLessThan(MIB);
  });
});
