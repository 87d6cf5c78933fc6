import type { Seen } from '../../support/backend';
import { json, startBackend, stopBackends } from '../../support/backend';
import type { Placed, PlaneOptions } from '../../support/plane';
import { sendRaw, startPlane, stopPlanes, until } from '../../support/plane';

// One table over all ways to a model server: what of a caller's head gets there, and what comes back.

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

const CUSTOM = { framework: 'custom', image: 'registry.example.org/x:1' } as const;
const models: Readonly<Record<string, Placed['input']>> = {
  native: { id: 'native', ...CUSTOM, server: { kind: 'custom', protocol: 'native' } },
  v1: { id: 'v1', ...CUSTOM, server: { kind: 'custom', protocol: 'v1' } },
  v2: { id: 'v2', ...CUSTOM, server: { kind: 'custom', protocol: 'v2' } },
  openai: { id: 'openai', ...CUSTOM, server: { kind: 'custom', protocol: 'openai' } },
};

/** An answer that every protocol can read. */
const ANSWER = {
  result: { y: 1 },
  results: [{ result: { y: 1 } }, { result: { y: 1 } }],
  predictions: [{ y: 1 }],
  outputs: [{ name: 'y', datatype: 'INT64', shape: [1], data: [1] }],
  inputs: [{ name: 'x', datatype: 'INT64', shape: [-1] }],
  name: 'x',
  choices: [{ message: { content: 'y' } }],
};

const NATIVE = '{"input_data":{"x":[1]}}';
const BATCH = '{"requests":[{"input_data":{"x":[1]}},{"input_data":{"x":[2]}}]}';

/** `METHOD path` and body, by what it is to the model server. */
const CALLS: readonly (readonly [string, string, string])[] = [
  ...['native', 'v1', 'v2'].flatMap((model): [string, string, string][] => [
    [`native to ${model}`, `POST /api/v1/models/${model}/inference`, NATIVE],
    [`batch to ${model}`, `POST /api/v1/models/${model}/batch_inference`, BATCH],
  ]),
  ['v1', 'POST /v1/models/v1:predict', '{"instances":[1]}'],
  ['v1 explain', 'POST /v1/models/v1:explain', '{"instances":[1]}'],
  ['v1 status', 'GET /v1/models/v1', ''],
  ['v1 metadata', 'GET /v1/models/v1/metadata', ''],
  ['v2', 'POST /v2/models/v2/infer', '{"inputs":[]}'],
  ['v2 of a version', 'POST /v2/models/v2/versions/v1/infer', '{"inputs":[]}'],
  ['v2 metadata', 'GET /v2/models/v2', ''],
  ['v2 metadata by HEAD', 'HEAD /v2/models/v2', ''],
  ...['completions', 'chat/completions', 'embeddings', 'responses'].map(
    (call): [string, string, string] => [call, `POST /openai/v1/${call}`, '{"model":"openai"}'],
  ),
];

const TRACE = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
const MARK = 's3cret';

/** Everything that must stay here, in the spelling of clients and of attackers. */
const KEPT_HERE = [
  `Authorization: Bearer ${MARK}`,
  `X-API-Key: ${MARK}`,
  `x-api-KEY: ${MARK}2`,
  `Cookie: session=${MARK}`,
  `Proxy-Authorization: Basic ${MARK}`,
  `Proxy-Connection: ${MARK}`,
  `Proxy-Anything: ${MARK}`,
  // Understood, and told anew for each try.
  'X-AI-Model-Deadline-Ms: 7000123',
  'X-AI-Model-Priority: high',
  `x-ai-model-anything: ${MARK}`,
  `Keep-Alive: timeout=${MARK}`,
  `TE: ${MARK}`,
  `Trailer: ${MARK}`,
  `Upgrade: ${MARK}`,
  `HTTP2-Settings: ${MARK}`,
  `X-Named: ${MARK}`,
  `X-Forwarded-For: 203.0.113.9`,
  `X-Forwarded-Host: ${MARK}`,
  `X-Forwarded-Anything: ${MARK}`,
  `X-Forwarded-Proto: ${MARK}`,
].join('\r\n');

/** Of strangers they stay here, too; what our own proxies say goes on. */
const OF_PROXIES = [
  'Forwarded',
  'X-Real-IP',
  'X-Client-IP',
  'X-Cluster-Client-IP',
  'X-Original-Forwarded-For',
  'X-Envoy-External-Address',
  'True-Client-IP',
  'CF-Connecting-IP',
  'cf-connecting-IPv6',
  'Fastly-Client-IP',
  'Fly-Client-IP',
];
const ADDRESS = '203.0.113.77';
const TOLD = OF_PROXIES.map((name) => `${name}: ${ADDRESS}\r\n`).join('');
const told = ({ headers }: Seen): readonly (string | undefined)[] =>
  OF_PROXIES.map((name) => headers[name.toLowerCase()]?.toString());

const GIVEN =
  `Host: caller.example\r\nConnection: keep-alive, x-named, close\r\n${KEPT_HERE}\r\n${TOLD}` +
  `X-Request-Id: call-7\r\nTraceparent: ${TRACE}\r\nTracestate: a=b\r\nX-Own: yes\r\n` +
  'Content-Type: application/json\r\n';

function asked(call: string, body: string): string {
  const length = body === '' ? '' : `Content-Length: ${body.length}\r\n`;
  return `${call} HTTP/1.1\r\n${GIVEN}${length}\r\n${body}`;
}

async function routed(options: PlaneOptions = {}) {
  const backend = await startBackend(() => ({
    kind: 'answer',
    headers: {
      'content-type': 'application/json',
      server: 'secret/1.0',
      connection: 'keep-alive, x-hop',
      'keep-alive': 'timeout=30',
      'x-hop': 'hop',
      'proxy-authenticate': 'hop',
      upgrade: 'hop',
      'x-request-id': 'forged',
      traceparent: 'forged',
      'x-ai-model-arm': 'forged',
      'x-ai-model-anything': 'forged',
      'x-kept': 'kept',
    },
    body: JSON.stringify(ANSWER),
  }));
  const plane = await startPlane(options);
  plane.route(
    ...Object.values(models).map((input) => ({ input, ports: { stable: [backend.port] } })),
  );
  return { plane, backend };
}

/** What every request that reached a model server must be like. */
function expectClean({ headers, rawHeaders }: Seen, address: string): void {
  expect(rawHeaders.join('\n')).not.toContain(MARK);
  expect(rawHeaders.filter((name) => /^(?:te|trailer|upgrade|expect)$/i.test(name))).toEqual([]);
  expect(headers.host).toBe(address);
  expect(Number(headers['x-ai-model-deadline-ms'])).toBeGreaterThan(0);
  expect(Number(headers['x-ai-model-deadline-ms'])).toBeLessThan(7_000_000);
  expect(Object.keys(headers).filter((name) => name.startsWith('x-ai-model-'))).toEqual([
    'x-ai-model-deadline-ms',
  ]);
  const names = rawHeaders.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase());
  expect(names).toEqual([...new Set(names)]);
}

/** Metadata that the router asks for itself are for all callers, and say nothing of this one. */
const isOwn = ({ method }: Seen, call: string): boolean =>
  method === 'GET' && call.startsWith('POST');

describe.each(CALLS)('a call of %s', (_, call, body) => {
  test('forwards only headers that are for a model server, and returns only those that are for the caller', async () => {
    const { plane, backend } = await routed();
    const answer = await sendRaw(plane.port, asked(call, body));
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(backend.seen.length).toBeGreaterThan(0);
    for (const seen of backend.seen) {
      expectClean(seen, backend.address);
      expect(seen.rawHeaders).not.toContain(ADDRESS);
      if (isOwn(seen, call)) continue;
      expect(seen.headers).toMatchObject({
        'x-request-id': 'call-7',
        traceparent: TRACE,
        tracestate: 'a=b',
        'x-own': 'yes',
        'x-forwarded-for': '127.0.0.1',
        'x-forwarded-proto': 'http',
      });
    }
    const head = answer.slice(0, answer.indexOf('\r\n\r\n'));
    expect(head).not.toMatch(/forged|secret|hop\b|^(?:server|keep-alive|upgrade|trailer):/im);
    for (const line of ['x-request-id: call-7', `traceparent: ${TRACE}`])
      expect(head).toContain(line);
  });

  test('forwards what a trusted proxy says about the caller', async () => {
    const { plane, backend } = await routed({ trustedProxies: ['127.0.0.1'] });
    await sendRaw(plane.port, asked(call, body).replace(`Proto: ${MARK}`, 'Proto: https'));
    for (const seen of backend.seen) {
      expectClean(seen, backend.address);
      if (isOwn(seen, call)) continue;
      expect(seen.headers).toMatchObject({
        'x-forwarded-for': '203.0.113.9, 127.0.0.1',
        'x-forwarded-proto': 'https',
      });
      expect(told(seen)).toEqual(OF_PROXIES.map(() => ADDRESS));
    }
  });
});

test('forwarded responses keep the server’s own headers, and name the arm', async () => {
  const { plane } = await routed();
  for (const call of [
    'POST /v2/models/v2/infer',
    'GET /v2/models/v2',
    'POST /v1/models/v1:predict',
  ]) {
    const answer = await sendRaw(plane.port, asked(call, call.startsWith('POST') ? '{}' : ''));
    expect(answer).toContain('x-kept: kept');
    expect(answer).toContain('x-ai-model-arm: stable');
  }
});

test.each([
  ['POST /api/v1/models/m/inference', NATIVE],
  ['POST /api/v1/models/m/batch_inference', BATCH],
  ['POST /v2/models/m/infer', '{"inputs":[]}'],
])('copies for a shadow are as clean: %s', async (call, body) => {
  const live = await startBackend(() => json(ANSWER));
  const shadow = await startBackend(() => json(ANSWER));
  const plane = await startPlane();
  const candidates = [
    { name: 'next', version: 'v2', source: './b.onnx', shadow: 100, compare: { abs: 1 } },
  ];
  plane.route({
    input: { id: 'm', candidates },
    ports: { stable: [live.port], next: [shadow.port] },
  });
  await sendRaw(plane.port, asked(call, body));
  await until(() => plane.shadows.length === 1, 'the copy');
  expect(plane.shadows[0]?.verdict).toBe('agree');
  expect(shadow.seen.length).toBeGreaterThan(0);
  for (const seen of shadow.seen) {
    expectClean(seen, shadow.address);
    expect(seen.rawHeaders).not.toContain(ADDRESS);
    expect(seen.headers).toMatchObject({ 'x-request-id': 'call-7', traceparent: TRACE });
  }
});

test.each([
  ['POST /api/v1/models/m/inference', NATIVE],
  ['POST /v2/models/m/infer', '{"inputs":[]}'],
])('second tries are as clean, and have what is left of the time: %s', async (call, body) => {
  const sick = await startBackend(() => json({}, 503));
  const well = await startBackend(() => json(ANSWER));
  const plane = await startPlane({ random: () => 0 });
  plane.route({ input: { id: 'm' }, ports: { stable: [sick.port, well.port] } });
  expect(await sendRaw(plane.port, asked(call, body))).toMatch(/^HTTP\/1\.1 200 /);
  const [first, second] = [sick.seen[0], well.seen[0]];
  if (first === undefined || second === undefined) throw new Error('there were no two tries');
  expectClean(first, sick.address);
  expectClean(second, well.address);
  const left = ({ headers }: Seen): number => Number(headers['x-ai-model-deadline-ms']);
  expect(left(second)).toBeLessThan(left(first));
  expect(second.body.equals(first.body)).toBe(true);
  const same = ['x-request-id', 'traceparent', 'x-own', 'content-length'] as const;
  for (const name of same) expect(second.headers[name]).toBe(first.headers[name]);
});
