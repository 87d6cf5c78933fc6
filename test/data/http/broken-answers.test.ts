import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import type { Behaviour } from '../../support/backend';
import { json, startBackend, stopBackends } from '../../support/backend';
import type { AuditEntry } from '../../../runtime/audit';
import { sendRaw, startPlane, stopPlanes, until } from '../../support/plane';
import { speaking } from '../../support/servers';

// What a caller gets, and what the accounts say, of answers that are none or break off.

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

const JSON_HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n';
const CHUNKED = `${JSON_HEAD}Transfer-Encoding: chunked\r\n\r\n`;
const BODY = '{"predictions": [1]}';

async function asked(behaviour: Behaviour) {
  const backend = await startBackend(() => behaviour);
  const audit: AuditEntry[] = [];
  const plane = await startPlane({ audit: (entry) => audit.push(entry) });
  plane.route({ input: speaking('v1'), ports: { stable: [backend.port] } });
  const head = `POST /v1/models/iris:predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\n`;
  const body = '{"instances":[1]}';
  const raw = await sendRaw(plane.port, `${head}Content-Length: ${body.length}\r\n\r\n${body}`);
  await until(() => plane.outcomes.length === 1, 'the outcome');
  return { raw, outcome: plane.outcomes[0], audit, faults: plane.faults };
}

const raw = (bytes: string, last: 'end' | 'reset' = 'end'): Behaviour => ({
  kind: 'raw',
  bytes,
  last,
});

const BROKEN: readonly (readonly [string, Behaviour])[] = [
  ['a first chunk without a size', raw(`${CHUNKED}zz\r\n${BODY}\r\n0\r\n\r\n`)],
  ['a first chunk with blanks behind its size', raw(`${CHUNKED}14  \r\n${BODY}\r\n0  \r\n\r\n`)],
  ['a first chunk without its end', raw(`${CHUNKED}14\r\n${BODY}0\r\n\r\n`)],
  ['chunks with LF alone', raw(`${CHUNKED}14\n${BODY}\n0\n\n`)],
  ['a head, and the end', raw(CHUNKED)],
  ['a head with a length, and the end', raw(`${JSON_HEAD}Content-Length: 20\r\n\r\n`)],
  ['a head with a length, and a reset', raw(`${JSON_HEAD}Content-Length: 20\r\n\r\n`, 'reset')],
  ['a head with lines that end with LF', raw(`HTTP/1.1 200 OK\nContent-Length: 2\n\n{}`)],
  ['another protocol', raw('SSH-2.0-OpenSSH_9.6\r\n')],
];

test.each(BROKEN)(
  '%s is a 502 with a message, for the caller and in the accounts',
  async (_, how) => {
    const { raw: got, outcome, audit, faults } = await asked(how);
    expect(got).toMatch(/^HTTP\/1\.1 502 /);
    expect(got.match(/HTTP\/1\.1/g)).toHaveLength(1);
    expect(got).toMatch(/"error":"model iris (?:gave no valid answer|broke the connection)/);
    expect(outcome).toMatchObject({ status: 502, failure: expect.any(String) });
    expect(audit.map(({ status }) => status)).toEqual([502]);
    expect(faults).toEqual([]);
  },
);

test('a late and invalid first chunk is a 502 as well', async () => {
  const sockets = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.write(CHUNKED, 'latin1', () => setImmediate(() => socket.end('zz\r\n')));
    });
  });
  await new Promise<void>((resolve) => sockets.listen(0, '127.0.0.1', resolve));
  const plane = await startPlane();
  const { port } = sockets.address() as AddressInfo;
  plane.route({ input: speaking('v1'), ports: { stable: [port] } });
  const got = await plane.post('/v1/models/iris:predict', { instances: [1] });
  expect(got.status).toBe(502);
  await until(() => plane.outcomes.length === 1, 'the outcome');
  expect(plane.outcomes[0]?.status).toBe(502);
  sockets.close();
});

test('an event stream begins before its first event; a break is a 502 in the accounts', async () => {
  const events = `HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n`;
  const { raw: got, outcome, audit } = await asked(raw(`${events}5\r\ndata:\r\n`));
  expect(got).toMatch(/^HTTP\/1\.1 200 /);
  expect(got).not.toContain('\r\n0\r\n');
  expect(outcome).toMatchObject({ status: 502, failure: 'reset: the answer was cut off' });
  expect(audit.map(({ status }) => status)).toEqual([502]);
});

test('a response that breaks in the middle is cut off, and a 502 in the accounts', async () => {
  const { raw: got, outcome } = await asked({ kind: 'half', body: BODY });
  expect(got).toMatch(/^HTTP\/1\.1 200 /);
  expect(outcome).toMatchObject({ status: 502 });
});

test('a whole body passes, in one read with its head or not', async () => {
  const whole = `${CHUNKED}14\r\n${BODY}\r\n0\r\n\r\n`;
  const { raw: got, outcome } = await asked(raw(whole));
  expect(got).toMatch(/^HTTP\/1\.1 200 /);
  expect(got).toContain(BODY);
  expect(outcome).toMatchObject({ status: 200 });
  const slow = await asked({ kind: 'drip', bytes: whole, everyMs: 1 });
  expect(slow.raw).toMatch(/^HTTP\/1\.1 200 /);
  expect(slow.outcome).toMatchObject({ status: 200 });
});

test.each([300, 301, 302, 303, 304, 307, 308])(
  'a redirect (%d) is a 502 with the reason',
  async (status) => {
    const thief = await startBackend(() => json({}));
    const headers = { location: `http://127.0.0.1:${thief.port}/steal` };
    const { raw: got, outcome } = await asked({ kind: 'answer', status, headers });
    expect(got).toMatch(/^HTTP\/1\.1 502 /);
    expect(got).toContain(`status ${status} is a redirect`);
    expect(got).not.toMatch(/^location:/im);
    expect(outcome).toMatchObject({ status: 502 });
    expect(thief.seen).toEqual([]);
  },
);

test.each([
  ['v2', '/api/v1/models/iris/inference', { input_data: { x: [[1, 2], [3]] } }],
  [
    'native',
    '/v2/models/iris/infer',
    { inputs: [{ name: 'x', datatype: 'FP32', shape: [2, 2], data: [[1, 2], [3]] }] },
  ],
] as const)(
  'a request that a server of %s cannot get is a 400, and counts as one',
  async (protocol, path, body) => {
    const backend = await startBackend(() => json({}));
    const plane = await startPlane();
    plane.route({ input: speaking(protocol), ports: { stable: [backend.port] } });
    expect((await plane.post(path, body)).status).toBe(400);
    expect(plane.outcomes.map(({ status }) => status)).not.toContain(499);
    for (const outcome of plane.outcomes) expect(outcome.status).toBe(400);
  },
);
