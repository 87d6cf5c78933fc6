import type { PlaneOptions } from '../../support/plane';
import { sendRaw, startPlane, stopPlanes } from '../../support/plane';

// What the HTTP engine refuses before anybody has seen the request is an error like all others: it
// has an id, and the shape that clients of its path read.

afterEach(stopPlanes);

interface Answer {
  readonly status: number;
  readonly id: string | undefined;
  readonly body: { readonly error?: unknown };
}

async function refused(bytes: string, options: PlaneOptions = {}): Promise<Answer> {
  const plane = await startPlane(options);
  plane.route({ input: { id: 'iris', inference: { maxBodyBytes: 1024 } }, ports: { stable: [1] } });
  const raw = await sendRaw(plane.port, bytes);
  const [head = '', body = ''] = raw.split('\r\n\r\n');
  expect(raw.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
  expect(head).toMatch(/^connection: close$/m);
  expect(head).toMatch(/^content-type: application\/json$/m);
  expect(head).toMatch(new RegExp(`^content-length: ${Buffer.byteLength(body)}$`, 'm'));
  return {
    status: Number(raw.slice(9, 12)),
    id: /^x-request-id: (.*)$/m.exec(head)?.[1],
    body: JSON.parse(body),
  };
}

const FIELDS = 'Host: x\r\nX-Request-Id: call-7\r\n';
const get = (path: string, more = ''): string => `GET ${path} HTTP/1.1\r\n${FIELDS}${more}\r\n`;
const long = 'a'.repeat(20_000);
const many = 'x: 1\r\n'.repeat(101);
const chunked = 'Transfer-Encoding: chunked\r\n';

/** What is wrong, its status, the bytes by path, and whether the id could be read. */
const FAULTS: readonly (readonly [string, number, (path: string) => string, boolean])[] = [
  ['a broken header line', 400, (path) => get(path, 'broken\r\n'), true],
  ['two hosts', 400, (path) => get(path, 'Host: y\r\n'), true],
  ['a body of two lengths', 400, (path) => get(path, `Content-Length: 1\r\n${chunked}`), true],
  ['a broken chunk', 400, (path) => `${get(path, chunked).replace('GET', 'POST')}zz\r\n`, true],
  ['a path too long', 414, (path) => get(`${path}/${long.slice(0, 9000)}`), true],
  ['a header too long', 431, (path) => get(path, `y: ${long}\r\n`), true],
  ['too many headers', 431, (path) => get(path, many), true],
  ['a first line that never ends', 431, (path) => `GET ${path}/${long}`, false],
  ['an expectation', 417, (path) => get(path, 'Expect: 200-ok\r\n'), true],
  ['an unknown transfer coding', 501, (path) => get(path, 'Transfer-Encoding: gzip\r\n'), true],
];

const SHAPES: readonly (readonly [string, (code: string) => unknown])[] = [
  ['/api/v1/models/iris/inference', (code) => ({ error: { code, details: [] } })],
  ['/v2/models/iris/infer', () => ({ error: expect.any(String) })],
  ['/v1/models/iris:predict', () => ({ error: expect.any(String) })],
  ['/openai/v1/completions', (code) => ({ error: { code: code.toLowerCase(), param: null } })],
];

describe.each(FAULTS)('%s', (_, status, bytes, hasId) => {
  test.each(SHAPES)(
    'below %s is refused in the shape of its protocol, with an id',
    async (path, shape) => {
      const got = await refused(bytes(path));
      const code = status === 501 ? 'NOT_IMPLEMENTED' : 'INVALID_REQUEST';
      expect(got).toMatchObject({ status, body: shape(code) });
      expect(got.id).toMatch(hasId ? /^call-7$/ : /^id-\d+$/);
    },
  );
});

test.each(SHAPES)('a late head is a 408 below %s, too', async (path, shape) => {
  const got = await refused(`POST ${path} HTTP/1.1\r\n${FIELDS}Accept`, {
    callers: { headMs: 20 },
  });
  expect(got).toMatchObject({ status: 408, id: 'call-7', body: shape('REQUEST_TIMEOUT') });
});

test.each(SHAPES)('a body that stops half-way is a 408 below %s, too', async (path, shape) => {
  const bytes = `POST ${path} HTTP/1.1\r\n${FIELDS}Content-Length: 9\r\n\r\nabc`;
  const got = await refused(bytes, { callers: { bodyMs: 20 } });
  expect(got).toMatchObject({ status: 408, id: 'call-7', body: shape('REQUEST_TIMEOUT') });
});

test("a body beyond the model's limit is a 413 with the caller's request id", async () => {
  const bytes = `POST /v2/models/iris/infer HTTP/1.1\r\n${FIELDS}Content-Length: 2000\r\n\r\n`;
  const got = await refused(bytes);
  expect(got).toMatchObject({ status: 413, id: 'call-7', body: { error: expect.any(String) } });
});

test.each([
  ['none', 'Host: x\r\n'],
  ['one that is not sane', 'Host: x\r\nX-Request-Id: a b"c\r\n'],
  ['two', 'Host: x\r\nX-Request-Id: a\r\nX-Request-Id: b\r\n'],
  ['half of one', 'Host: x\r\nX-Request-Id: hal'],
])('a request that brings %s gets a new id', async (_, fields) => {
  const bytes = `GET /v2 HTTP/1.1\r\n${fields}`;
  const got = await refused(bytes, { callers: { headMs: 20 } });
  expect(got).toMatchObject({ status: 408, id: expect.stringMatching(/^id-\d+$/) });
});

test('a request without a path is refused in the shape of the management API', async () => {
  const got = await refused('what is this\r\n\r\n');
  expect(got).toMatchObject({
    status: 400,
    id: 'id-1',
    body: { status: 'error', error: { code: 'INVALID_REQUEST', details: [] } },
  });
});
