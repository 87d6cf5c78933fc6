import { createOtlpExporter, parseHeaders } from '../../runtime/traces/otlp-exporter';
import type { Behaviour } from '../support/backend';
import { stopBackends } from '../support/backend';
import { startCollector } from './support';

afterEach(stopBackends);

/** Exports nothing to a collector that behaves like this. */
async function sendTo(behaviour: Behaviour, timeoutMs = 10_000) {
  const { backend } = await startCollector(() => behaviour);
  const { send, close } = createOtlpExporter({
    endpoint: `http://${backend.address}`,
    headersFile: undefined,
    caFile: undefined,
    serviceName: 'clinic',
    instance: 'a',
    version: '1',
  });
  const result = await send([], timeoutMs);
  close();
  return result;
}

const answer = (status: number, more: object = {}): Behaviour => ({
  kind: 'answer',
  status,
  ...more,
});

test.each<readonly [string, Behaviour, object]>([
  ['200 without a message', answer(200), { kind: 'done', rejected: 0 }],
  ['200 with garbage', answer(200, { body: 'not a message' }), { kind: 'done', rejected: 0 }],
  ['200 with a huge body', answer(200, { body: 'x'.repeat(1e6) }), { kind: 'done', rejected: 0 }],
  ['500', answer(500), { kind: 'failed', why: 'the collector answered 500' }],
  ['503', answer(503), { kind: 'retry', why: 'the collector answered 503' }],
  ['429 with a pause', answer(429, { headers: { 'retry-after': '9999' } }), { afterMs: 30_000 }],
  ['no HTTP', { kind: 'garbage', bytes: 'SSH-2.0-x\r\n' }, { kind: 'retry' }],
  ['a reset', { kind: 'reset' }, { kind: 'retry', why: 'ECONNRESET' }],
])('a collector answers %s', async (_, behaviour, result) => {
  expect(await sendTo(behaviour)).toMatchObject(result);
});

test('a collector that does not answer is given up after the time of an export', async () => {
  const why = 'the collector did not answer in time';
  expect(await sendTo({ kind: 'silence' }, 20)).toEqual({ kind: 'retry', why });
});

test('a headers file is lines of name and value; an error names the line, not its text', () => {
  const headers = { authorization: 'Bearer a:b', 'x-tenant': 'clinic' };
  expect(parseHeaders('Authorization: Bearer a:b\r\n\nx-tenant:clinic\n')).toEqual(headers);
  const message = 'line 2 is not a header; write name: value';
  expect(() => parseHeaders('a: b\nsecret without a colon')).toThrow(message);
});
