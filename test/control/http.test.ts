import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import type { Service } from './support';
import { ask, codeOf, iris, place, serve } from './support';

let service: Service;
beforeAll(async () => {
  service = await serve();
  await place(service, iris());
});
afterAll(() => service.close());

const url = (path: string): string => `${service.url}${path}`;

/** Bytes as they are: for what fetch would not send. */
function raw(text: string): Promise<string> {
  const { hostname, port } = new URL(service.url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(text));
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk.toString();
    });
    socket.on('close', () => resolve(answer)).on('error', reject);
  });
}

describe('errors', () => {
  test('have one shape', async () => {
    const { body } = await ask(url('/api/v1/models/nobody'));
    expect(body).toEqual({
      status: 'error',
      error: { code: 'MODEL_NOT_FOUND', message: expect.stringContaining('nobody'), details: [] },
      timestamp: expect.stringMatching(/^2026-01-01T/),
    });
  });

  test.each(['/api', '/api/v1', '/api/v2/models', '/api/v1/models/iris/nothing', '/docs/x/y'])(
    'of an unknown path are 404: %s',
    async (path) => {
      const reply = await ask(url(path));
      expect([reply.status, codeOf(reply)]).toEqual([404, 'NOT_FOUND']);
    },
  );

  test.each([
    ['PATCH', '/api/v1/models/iris', 'DELETE, GET, HEAD, PUT'],
    ['PUT', '/api/v1/models', 'GET, HEAD'],
    ['GET', '/api/v1/models/iris/scale', 'POST'],
    // A model may be called deploy.
    ['PATCH', '/api/v1/models/deploy/', 'DELETE, GET, HEAD, POST, PUT'],
    ['POST', '/health/live', 'GET, HEAD'],
    ['POST', '/openapi.json', 'GET, HEAD'],
    ['DELETE', '/metrics', 'GET, HEAD'],
  ])('of %s %s are 405 with the supported methods', async (method, path, allow) => {
    const reply = await ask(url(path), method);
    expect([reply.status, codeOf(reply)]).toEqual([405, 'METHOD_NOT_ALLOWED']);
    expect(reply.headers.get('allow')).toBe(allow);
  });

  test('OPTIONS lists the methods of a path', async () => {
    const reply = await fetch(url('/api/v1/models/iris'), { method: 'OPTIONS' });
    expect([reply.status, reply.headers.get('allow')]).toEqual([204, 'DELETE, GET, HEAD, PUT']);
  });

  test('a malformed path is 400', async () => {
    const reply = await ask(url('/api/v1/models/%zz'));
    expect([reply.status, codeOf(reply)]).toEqual([400, 'INVALID_REQUEST']);
  });

  test('HEAD is GET without a body', async () => {
    const reply = await fetch(url('/api/v1/models/iris'), { method: 'HEAD' });
    expect([reply.status, reply.headers.get('etag'), await reply.text()]).toEqual([200, '"1"', '']);
  });
});

describe('bodies', () => {
  const post = (body: NonNullable<RequestInit['body']>, headers: Record<string, string> = {}) =>
    fetch(url('/api/v1/models/deploy'), {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json', ...headers },
    });
  const answer = async (reply: Response): Promise<unknown[]> => {
    const body = (await reply.json()) as { error: { code: string; message: string } };
    return [reply.status, body.error.code, body.error.message];
  };

  test.each(['{', '{"config": ', 'config', '{"a":1}}', "{'a':1}"])(
    'of malformed JSON are 400 and not quoted: %s',
    async (text) => {
      const [status, code, message] = await answer(await post(text));
      expect([status, code]).toEqual([400, 'INVALID_REQUEST']);
      expect(message).toContain('is not valid JSON');
    },
  );

  test('that are not JSON are refused with the place', async () => {
    const [, , message] = await answer(await post('{"config":\n {"model_id": }}'));
    expect(message).toBe('the body is not valid JSON: line 2, column 15: a value is expected here');
  });

  test('that are not UTF-8 are refused with the byte', async () => {
    const body = Buffer.from('{"config": {"name": "\xc4\xe3"}}', 'latin1');
    const [status, code, message] = await answer(await post(body));
    expect([status, code]).toEqual([400, 'INVALID_REQUEST']);
    expect(message).toContain('the body is not UTF-8, as JSON must be: byte 21');
  });

  test('with a repeated key are refused with its path and lines', async () => {
    for (const method of ['POST', 'PUT']) {
      const path = method === 'POST' ? '/api/v1/models/deploy' : '/api/v1/models/iris';
      const body = '{"config": {"model_id": "iris",\n"version": "1",\n"version": "2"}}';
      const reply = await fetch(url(path), {
        method,
        body,
        headers: { 'content-type': 'application/json' },
      });
      expect(await answer(reply)).toEqual([
        400,
        'INVALID_REQUEST',
        'config.version: is given twice, in lines 2 and 3; remove one',
      ]);
    }
  });

  test('with a number in place of a text are refused with its spelling', async () => {
    const rest = '"framework": "onnx", "repository_url": "s3://m/x"';
    const body = `{"config": {"model_id": "iris", "version": 1.10, ${rest}}}`;
    const [status, , message] = await answer(await post(body));
    expect([status, message]).toEqual([
      400,
      'version: got 1.10, must be a string; put it in quotes: "1.10"',
    ]);
  });

  test('may begin with a byte order mark', async () => {
    const [status, code] = await answer(await post('\uFEFF{"config": {"model_id": "iris"}}'));
    expect([status, code]).toEqual([400, 'INVALID_MODEL_CONFIG']);
  });

  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/jsonp',
    'multipart/form-data',
    'application/json; charset=latin1',
  ])('of the type %s are 415', async (type) => {
    const [status, code] = await answer(await post('{}', { 'content-type': type }));
    expect([status, code]).toEqual([415, 'UNSUPPORTED_MEDIA_TYPE']);
  });

  test('without a type are 415 with the required type', async () => {
    const text = await raw(
      'POST /api/v1/models/deploy HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}',
    );
    expect(text).toMatch(/^HTTP\/1\.1 415 /);
    expect(text).toContain('Content-Type: application/json');
  });

  test('with an unknown content encoding are 415', async () => {
    const [status] = await answer(await post('{}', { 'content-encoding': 'zstd7' }));
    expect(status).toBe(415);
  });

  test('over 1 MiB are 413, plain or compressed', async () => {
    const large = JSON.stringify({ config: { name: 'x'.repeat(1_100_000) } });
    expect((await answer(await post(large))).slice(0, 2)).toEqual([413, 'PAYLOAD_TOO_LARGE']);
    const packed = await post(gzipSync(large), { 'content-encoding': 'gzip' });
    expect((await answer(packed)).slice(0, 2)).toEqual([413, 'PAYLOAD_TOO_LARGE']);
  });

  test('with gzip and merge-patch+json are accepted', async () => {
    const body = JSON.stringify({ config: iris({ model_id: 'packed' }) });
    const reply = await post(gzipSync(body), { 'content-encoding': 'gzip' });
    expect(reply.status).toBe(202);
    const patch = await fetch(url('/api/v1/models/packed'), {
      method: 'PUT',
      body: '{"config": {"version": "v2"}}',
      headers: { 'content-type': 'application/merge-patch+json' },
    });
    expect(patch.status).toBe(202);
  });

  test('with __proto__ in a definition have a fault and change no prototype', async () => {
    const [status] = await answer(await post('{"config": {"__proto__": {"polluted": 1}}}'));
    expect(status).toBe(400);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  test.each([
    ['values', `{"config":[${'1,'.repeat(30_000)}1]}`],
    ['names', `{${Array.from({ length: 6000 }, (_, at) => `"k${at}":1`).join()}}`],
  ])('with more %s than any definition are 413, and not parsed', async (what, body) => {
    const [status, code, message] = await answer(await post(body));
    expect([status, code, message]).toEqual([
      413,
      'PAYLOAD_TOO_LARGE',
      expect.stringContaining(what),
    ]);
  });

  test('nested a thousand deep are 400', async () => {
    const deep = `{"config": ${'{"a":'.repeat(1000)}1${'}'.repeat(1000)}}`;
    expect((await answer(await post(deep))).slice(0, 2)).toEqual([400, 'INVALID_REQUEST']);
  });

  test('that break off change nothing', async () => {
    const { hostname, port } = new URL(service.url);
    await new Promise<void>((resolve) => {
      const socket = connect(Number(port), hostname, () => {
        socket.write(
          'POST /api/v1/models/deploy HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"con',
          () => socket.destroy(),
        );
      });
      socket.on('close', () => resolve());
    });
    expect((await ask(url('/api/v1/models/iris'))).status).toBe(200);
  });
});

describe('headers', () => {
  test('take over a valid request id, and replace any other', async () => {
    const id = async (given?: string): Promise<string | null> => {
      const headers: Record<string, string> = given === undefined ? {} : { 'x-request-id': given };
      return (await ask(url('/health/live'), 'GET', undefined, headers)).headers.get(
        'x-request-id',
      );
    };
    expect(await id('job-17:a.b_c')).toBe('job-17:a.b_c');
    for (const bad of ['a b', '<script>', 'x'.repeat(200), '-x', undefined]) {
      expect(await id(bad)).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/);
    }
  });

  test.each(['/api/v1/models', '/nothing', '/api/v1/models/nobody', '/docs', '/metrics'])(
    'have a request id on %s',
    async (path) => {
      const reply = await fetch(url(path));
      await reply.text();
      expect(reply.headers.get('x-request-id')).toBeTruthy();
    },
  );

  test('pass a valid traceparent on', async () => {
    const good = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const pass = async (traceparent: string): Promise<string | null> =>
      (await ask(url('/health/live'), 'GET', undefined, { traceparent })).headers.get(
        'traceparent',
      );
    expect(await pass(good)).toBe(good);
    expect(
      await pass(good.replaceAll('0af7651916cd43dd8448eb211c80319c', '0'.repeat(32))),
    ).toBeNull();
    expect(await pass('nonsense')).toBeNull();
  });

  test('forbid caching and use by pages', async () => {
    const { headers } = await ask(url('/api/v1/models'));
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('content-security-policy')).toBe("default-src 'none'");
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-powered-by')).toBeNull();
    expect(headers.get('strict-transport-security')).toBeNull();
    expect(headers.get('access-control-allow-origin')).toBeNull();
  });
});

describe('the documentation', () => {
  test('is a page without foreign resources', async () => {
    const page = await fetch(url('/docs'));
    const html = await page.text();
    expect(page.headers.get('content-type')).toMatch(/^text\/html/);
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(page.headers.get('content-security-policy')).toContain("script-src 'self'");
    expect(html).not.toMatch(/https?:\/\//);
    expect(html).not.toMatch(/<script>|onload=/);
    const files = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] ?? '');
    expect(files).toHaveLength(3);
    for (const file of files) {
      const reply = await fetch(url(file));
      expect([file, reply.status]).toEqual([file, 200]);
      expect((await reply.text()).length).toBeGreaterThan(50);
    }
    expect(await (await fetch(url('/docs/start.js'))).text()).toContain('validatorUrl: null');
  });

  test.each(['package.json', '..%2fpackage.json', '%2e%2e%2f%2e%2e%2fpackage.json', 'index.html'])(
    'has no other files: %s',
    async (file) => {
      const reply = await ask(url(`/docs/${file}`));
      expect([reply.status, codeOf(reply)]).toEqual([404, 'NOT_FOUND']);
    },
  );

  test('shows the committed document', async () => {
    const served: unknown = await (await fetch(url('/openapi.json'))).json();
    const committed: unknown = JSON.parse(readFileSync('openapi.json', 'utf8'));
    expect(served).toEqual(committed);
  });
});

describe('metrics', () => {
  test.each(['url', 'opsUrl'] as const)('are at /metrics of %s', async (port) => {
    const reply = await fetch(`${service[port]}/metrics`);
    const text = await reply.text();
    expect(reply.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(text).toContain('ai_model_health_status{model_id="iris",arm="stable"} 1');
  });

  test('count calls and their results', async () => {
    await ask(url('/api/v1/models/iris/scale'), 'POST', { replicas: -1 });
    const text = await (await fetch(url('/metrics'))).text();
    expect(text).toMatch(/ai_model_deployments_total\{action="scale",status="error"\} [1-9]/);
    expect(text).toMatch(/ai_model_deployments_total\{action="deploy",status="success"\} [1-9]/);
  });

  test('are in OpenMetrics form on request', async () => {
    const reply = await fetch(url('/metrics'), {
      headers: { accept: 'application/openmetrics-text; version=1.0.0' },
    });
    expect(reply.headers.get('content-type')).toMatch(/^application\/openmetrics-text/);
    expect(await reply.text()).toMatch(/# EOF\n$/);
  });
});
