import { setMaxListeners } from 'node:events';
import { gzipSync } from 'node:zlib';
import { freePort, json, startBackend, stopBackends } from '../../support/backend';
import { startPlane, stopPlanes, until } from '../../support/plane';

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

const IRIS = { id: 'iris', inference: { timeoutSeconds: 5 } } as const;

describe('bytes pass untouched', () => {
  const bodies: readonly (readonly [string, Buffer])[] = [
    ['odd white space', Buffer.from('{ "inputs" :\t[ ]\r\n}\n')],
    ['integers above 2^53', Buffer.from('{"inputs":[{"data":[9007199254740993, -1]}]}')],
    ['NaN and infinities', Buffer.from('{"inputs":[{"data":[NaN, -Infinity, 1e400]}]}')],
    ['binary tensors', Buffer.from([...Buffer.from('{"inputs":[]}'), ...Array(256).keys()])],
    ['text that is no JSON', Buffer.from('hello')],
    ['gzip', gzipSync('{"inputs":[]}')],
    ['nothing', Buffer.alloc(0)],
  ];

  test.each(bodies)('%s, there and back', async (_name, body) => {
    const backend = await startBackend(({ body: got }) => ({
      kind: 'answer',
      headers: {
        'content-type': 'application/octet-stream',
        'inference-header-content-length': '13',
      },
      body: got,
    }));
    const plane = await startPlane();
    plane.route({ input: IRIS, ports: { stable: [backend.port] } });
    const got = await plane.ask('/v2/models/iris/infer', {
      method: 'POST',
      headers: { 'inference-header-content-length': '13' },
      body,
    });
    expect(got.status).toBe(200);
    expect(got.body.equals(body)).toBe(true);
    expect(got.headers['inference-header-content-length']).toBe('13');
    expect(backend.seen[0]?.body.equals(body)).toBe(true);
    expect(backend.seen[0]?.headers['inference-header-content-length']).toBe('13');
  });

  test('of four MiB, up and down', async () => {
    const body = Buffer.alloc(4 * 1024 * 1024, 'abcdefg');
    const backend = await startBackend(({ body: got }) => ({ kind: 'answer', body: got }));
    const plane = await startPlane();
    plane.route({ input: IRIS, ports: { stable: [backend.port] } });
    const got = await plane.ask('/v2/models/iris/infer', { method: 'POST', body });
    expect(got.body.equals(body)).toBe(true);
  });

  test('an error of the model server is its own, in its own words', async () => {
    const backend = await startBackend(() => json({ error: 'input is 3 wide' }, 422));
    const plane = await startPlane();
    plane.route({ input: IRIS, ports: { stable: [backend.port] } });
    const got = await plane.post('/v2/models/iris/infer', {});
    expect([got.status, got.text]).toEqual([422, '{"error":"input is 3 wide"}']);
  });
});

describe('a try that fails before the first byte', () => {
  test('is made again elsewhere when the connection was refused', async () => {
    const good = await startBackend(() => json({ ok: true }));
    const plane = await startPlane();
    plane.route({ input: IRIS, ports: { stable: [await freePort(), good.port] } });
    const all = await Promise.all(
      Array.from({ length: 20 }, () => plane.post('/v2/models/iris/infer', {})),
    );
    expect(all.map(({ status }) => status)).toEqual(Array(20).fill(200));
    expect(good.seen.length).toBe(20);
  });

  test('is made again elsewhere when the connection broke', async () => {
    const bad = await startBackend(() => ({ kind: 'reset' }));
    const good = await startBackend(() => json({ ok: true }));
    const plane = await startPlane();
    plane.route({ input: IRIS, ports: { stable: [bad.port, good.port] } });
    // At once, so that both are chosen: the second request goes where the first one is not.
    const all = await Promise.all(
      Array.from({ length: 20 }, () => plane.post('/v2/models/iris/infer', {})),
    );
    expect(all.map(({ status }) => status)).toEqual(Array(20).fill(200));
    expect(bad.seen.length).toBeGreaterThan(0);
  });

  test('is not made again when the definition says that requests are not idempotent', async () => {
    const bad = await Promise.all([1, 2].map(() => startBackend(() => ({ kind: 'reset' }))));
    const plane = await startPlane();
    const input = { ...IRIS, inference: { idempotent: false } };
    plane.route({ input, ports: { stable: bad.map(({ port }) => port) } });
    const got = await plane.post('/v2/models/iris/infer', {});
    expect(got.status).toBe(502);
    expect(JSON.parse(got.text)).toEqual({
      error: expect.stringContaining('broke the connection'),
    });
    expect(bad.flatMap(({ seen }) => seen)).toHaveLength(1);
  });

  test('of a server that talks no HTTP is a 502 that says so', async () => {
    const bad = await startBackend(() => ({ kind: 'garbage', bytes: 'SSH-2.0-x\r\n\r\n' }));
    const plane = await startPlane();
    plane.route({ input: IRIS, ports: { stable: [bad.port] } });
    const got = await plane.post('/v2/models/iris/infer', {});
    expect(got.status).toBe(502);
    expect(got.text).toContain('no valid answer');
  });

  test('is a 504 when the time is over, and the server is told how much it had', async () => {
    const bad = await startBackend(() => ({ kind: 'silence' }));
    const plane = await startPlane();
    const input = { ...IRIS, inference: { timeoutSeconds: 1 } };
    plane.route({ input, ports: { stable: [bad.port] } });
    const got = await plane.post('/v2/models/iris/infer', {});
    expect(got.status).toBe(504);
    const told = Number(bad.seen[0]?.headers['x-ai-model-deadline-ms']);
    expect(told).toBeGreaterThan(900);
    expect(told).toBeLessThanOrEqual(1000);
  });
});

test('after the first byte nothing is tried again: the caller sees the break', async () => {
  const bad = await startBackend(() => ({ kind: 'half', body: '{"half":' }));
  const plane = await startPlane();
  plane.route({ input: IRIS, ports: { stable: [bad.port] } });
  await expect(plane.post('/v2/models/iris/infer', {})).rejects.toThrow(
    /aborted|ECONNRESET|hang up/,
  );
  expect(bad.seen.length).toBe(1);
  await until(() => plane.outcomes.length === 1, 'the outcome');
  expect(plane.outcomes[0]?.failure).toMatch(/reset/);
});

test('events are passed on as they come', async () => {
  let next: (text: string) => void = () => undefined;
  async function* parts(): AsyncGenerator<string> {
    for (let at = 0; at < 3; at += 1) {
      yield await new Promise<string>((resolve) => {
        next = resolve;
      });
    }
  }
  const headers = { 'content-type': 'text/event-stream' };
  const backend = await startBackend(() => ({ kind: 'parts', headers, parts: parts() }));
  const plane = await startPlane();
  const server = { kind: 'custom', protocol: 'openai' } as const;
  plane.route({
    input: { ...IRIS, framework: 'custom', server },
    ports: { stable: [backend.port] },
  });
  const answer = await fetch(`http://127.0.0.1:${plane.port}/openai/v1/chat/completions`, {
    method: 'POST',
    body: '{"model":"iris","stream":true}',
  });
  const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
  for (const event of ['data: 1\n\n', 'data: 2\n\n', 'data: [DONE]\n\n']) {
    next(event);
    const { value } = await reader.read();
    expect(Buffer.from(value ?? []).toString()).toBe(event);
  }
  expect((await reader.read()).done).toBe(true);
  expect(backend.seen[0]).toMatchObject({ url: '/v1/chat/completions' });
});

test('callers who hang up leave nothing behind', async () => {
  const backend = await startBackend(() => ({ kind: 'silence' }));
  const plane = await startPlane();
  const input = { ...IRIS, inference: { maxConcurrency: 1000 } };
  plane.route({ input, ports: { stable: [backend.port] } });
  const gone = new AbortController();
  setMaxListeners(0, gone.signal);
  const all = Array.from({ length: 200 }, () =>
    plane
      .ask('/v2/models/iris/infer', { body: '{}', signal: gone.signal })
      .catch((error: Error) => error.name),
  );
  await until(() => backend.seen.length === 200, 'requests at the server');
  gone.abort();
  expect(new Set(await Promise.all(all))).toEqual(new Set(['AbortError']));
  await until(() => plane.load.active() === 0 && backend.inFlight() === 0, 'everything ended');
  expect(plane.outcomes.map(({ status }) => status)).toEqual(Array(200).fill(499));
  expect(plane.load.arms()[0]).toMatchObject({ inFlight: 0, queued: 0, window: { failures: 0 } });
});
