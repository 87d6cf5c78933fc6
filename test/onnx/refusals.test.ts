import { request } from 'node:http';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { fixtures, json, post, startServer } from './support/server';
import type { TestServer } from './support/server';

// What the server refuses, with which status, in each protocol's own shape.

const LIMIT = 10_000;
let server: TestServer;

beforeAll(async () => {
  server = await startServer({
    models: fixtures('batchable', 'slow', 'identity_fp32'),
    maxBodyBytes: LIMIT,
    maxConcurrency: 1,
    maxQueueDepth: 2,
  });
});

afterAll(async () => {
  await server.stop();
});

const V2 = '/v2/models/batchable/infer';
const V1 = '/v1/models/batchable:predict';
const NATIVE = '/inference?model=batchable';
const V2_BODY = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }] };

/** The message, out of the shape that the protocol of the path has. */
function messageOf(path: string, text: string): string {
  const { error } = JSON.parse(text) as { error: unknown };
  if (path.startsWith('/v2') || path.startsWith('/v1')) return error as string;
  expect(Object.keys(error as object)).toEqual(['message']);
  return (error as { message: string }).message;
}

describe.each([V2, V1, NATIVE, '/batch_inference?model=batchable'])('%s', (path) => {
  const send = (body: string | Uint8Array, headers = {}): ReturnType<typeof post> =>
    post(server.url + path, body, headers);

  test('refuses a body nested beyond the limit before parsing it', async () => {
    const { status, text } = await send(`{"x":${'['.repeat(600)}${']'.repeat(600)}}`);
    expect([status, messageOf(path, text)]).toEqual([
      400,
      expect.stringContaining('nested too deeply'),
    ]);
  });

  test.each([
    ['', 'it is empty'],
    ['{', 'not JSON'],
    ['{"a":1}}', 'not JSON'],
    ['{"a":01234567890123456789}', 'not JSON'],
    ['{"a":NaN', 'not JSON'],
    ['[1,2]', 'must be an object'],
    ['"text"', 'must be an object'],
    ['null', 'must be an object'],
    [Buffer.from([0x7b, 0xff, 0x7d]), 'not UTF-8'],
  ])('400 for %j', async (body, message) => {
    const { status, text } = await send(body);
    expect(status).toBe(400);
    expect(messageOf(path, text)).toContain(message);
  });

  test('405 with Allow for an unsupported method', async () => {
    for (const method of ['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      const answer = await fetch(server.url + path, { method });
      expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'POST']);
      expect(messageOf(path, await answer.text())).toContain(method);
    }
  });

  test('413 for a body that is too large, by its length or while it arrives', async () => {
    const large = Buffer.alloc(LIMIT + 1, ' ');
    const told = await send(large);
    expect([told.status, messageOf(path, told.text)]).toEqual([
      413,
      expect.stringContaining(`more than ${LIMIT} bytes`),
    ]);
    // Without a length, and not ended before the answer is there.
    const status = await new Promise((resolve, reject) => {
      const call = request(server.url + path, { method: 'POST' }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
        call.end();
      });
      call.on('error', reject);
      call.write(large);
    });
    expect(status).toBe(413);
  });

  test('413 for a small body that inflates beyond the limit', async () => {
    const bomb = gzipSync(Buffer.alloc(1_000_000, ' '));
    expect(bomb.length).toBeLessThan(LIMIT);
    const { status, text } = await send(bomb, { 'content-encoding': 'gzip' });
    expect([status, messageOf(path, text)]).toEqual([413, expect.stringContaining('bytes')]);
  });

  test('415 for an unknown encoding, 400 for bytes of another encoding', async () => {
    const unknown = await send('{}', { 'content-encoding': 'zstd' });
    expect([unknown.status, messageOf(path, unknown.text)]).toEqual([
      415,
      expect.stringContaining('gzip, deflate'),
    ]);
    expect((await send('{}', { 'content-encoding': 'gzip' })).status).toBe(400);
  });

  test('504 when no time is left, 400 for an invalid deadline', async () => {
    const late = await send('{}', { 'x-ai-model-deadline-ms': 'soon' });
    expect([late.status, messageOf(path, late.text)]).toEqual([
      400,
      expect.stringContaining('must be milliseconds'),
    ]);
  });
});

test.each([
  [V2, V2_BODY],
  [V1, { instances: [[1, 2, 3, 4]] }],
  [NATIVE, { input_data: { x: [1, 2, 3, 4] } }],
])('%s: 504 when the deadline is over', async (path, body) => {
  const { status, text } = await post(server.url + path, body, { 'x-ai-model-deadline-ms': '0' });
  expect([status, messageOf(path, text)]).toEqual([504, expect.stringContaining('time was up')]);
});

test.each([
  ['/nothing', 'there is nothing at /nothing'],
  ['/', 'there is nothing at /'],
  ['/v2/models/nope/infer', "unknown model 'nope'; loaded: batchable, slow, identity_fp32"],
  ['/v2/models/nope', "unknown model 'nope'"],
  ['/v2/models/batchable/versions/9', "no version '9'; it has '1'"],
  ['/v2/models/batchable/versions/9/infer', "no version '9'"],
  ['/v1/models/nope:predict', "unknown model 'nope'"],
  ['/v1/models/nope', "unknown model 'nope'"],
  ['/v2/models/..%2F..%2Fetc/infer', "unknown model '../../etc'"],
  ['/v2/models/__proto__/infer', "unknown model '__proto__'"],
])('404 at %s', async (path, message) => {
  const answer = await fetch(server.url + path);
  expect(answer.status).toBe(404);
  expect(messageOf(path, await answer.text())).toContain(message);
});

test('400 for a path that is not percent-encoded UTF-8', async () => {
  expect((await fetch(`${server.url}/v2/models/%FF/infer`)).status).toBe(400);
});

test('HEAD is answered where GET is', async () => {
  const answer = await fetch(`${server.url}/v2/health/live`, { method: 'HEAD' });
  expect([answer.status, await answer.text()]).toEqual([200, '']);
  expect((await fetch(`${server.url}/metrics`, { method: 'POST' })).headers.get('allow')).toBe(
    'GET, HEAD',
  );
});

test('bytes that are not HTTP are refused, and the server continues', async () => {
  const answer = await new Promise<string>((resolve) => {
    const socket = connect(server.port, '127.0.0.1', () => socket.write('nonsense\r\n\r\n'));
    socket.on('data', (chunk) => resolve(chunk.toString()));
  });
  expect(answer).toContain('400 Bad Request');
  expect((await post(server.url + V2, V2_BODY)).status).toBe(200);
});

describe('with one slot and a queue of two', () => {
  const slow = (rows: number): object => ({
    inputs: [{ name: 'x', datatype: 'FP32', shape: [rows, 1], data: Array(rows).fill(0.5) }],
  });
  const url = (): string => `${server.url}/v2/models/slow/infer`;

  const metric = async (name: string): Promise<number> => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
  };
  const until = async (name: string, wanted: number): Promise<void> => {
    while ((await metric(name)) !== wanted);
  };

  beforeAll(async () => {
    // Until it runs in its thread, so that the event loop is free while it computes.
    for (let i = 0; i < 4; i += 1) await post(url(), slow(4));
    const apart = async (): Promise<boolean> => {
      const run = post(url(), slow(20));
      const seen = await Promise.race([until('onnx_server_in_flight', 1).then(() => true), run]);
      await run;
      return seen === true;
    };
    while (!(await apart()));
  });

  test('503 with Retry-After for requests beyond it, and the rest is answered', async () => {
    const replies = await Promise.all(Array.from({ length: 6 }, () => post(url(), slow(10))));
    const statuses = replies.map(({ status }) => status).sort();
    expect(statuses).toEqual([200, 200, 200, 503, 503, 503]);
    const refused = replies.find(({ status }) => status === 503);
    expect(refused?.headers.get('retry-after')).toBe('1');
    expect(json(refused as never)).toEqual({ error: expect.stringContaining('the queue is full') });
  });

  test('504 while it waits, and while the model computes', async () => {
    const first = post(url(), slow(30));
    await until('onnx_server_in_flight', 1);
    const [waiting, health] = await Promise.all([
      post(server.url + V2, V2_BODY, { 'x-ai-model-deadline-ms': '50' }),
      fetch(`${server.url}/v2/health/live`),
    ]);
    expect([waiting.status, json(waiting)]).toEqual([
      504,
      { error: expect.stringContaining('waited in the queue') },
    ]);
    expect(health.status).toBe(200);
    expect((await first).status).toBe(200);
    const computing = await post(url(), slow(30), { 'x-ai-model-deadline-ms': '50' });
    expect([computing.status, json(computing)]).toEqual([
      504,
      { error: expect.stringContaining('while the model computed') },
    ]);
    await until('onnx_server_in_flight', 0);
  });

  test('a caller that disconnects while waiting leaves the queue', async () => {
    const first = post(url(), slow(30));
    await until('onnx_server_in_flight', 1);
    const gone = [new AbortController(), new AbortController()];
    const waiting = gone.map(({ signal }) =>
      fetch(url(), { method: 'POST', body: JSON.stringify(slow(30)), signal }).catch(() => 'gone'),
    );
    await until('onnx_server_queue_depth', 2);
    for (const each of gone) each.abort();
    await until('onnx_server_queue_depth', 0);
    expect(await Promise.all(waiting)).toEqual(['gone', 'gone']);
    expect((await first).status).toBe(200);
    expect((await post(server.url + V2, V2_BODY)).status).toBe(200);
  });
});
