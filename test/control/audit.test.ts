import type { Authenticate } from '../../runtime/auth';
import { createAuthenticate, newKey } from '../../runtime/auth';
import type { Audit, AuditEntry } from '../../runtime/audit';
import { NO_AUDIT } from '../../runtime/audit';
import type { Service } from './support';
import { ask, codeOf, iris, place, serve, withCandidate } from './support';

// What the management plane records, and what it refuses while it cannot.

let service: Service;
afterEach(() => service.close());

const SINCE = Date.UTC(2026, 0, 2);

/** A record that a test turns off and on. */
function brittle(): { audit: Audit; lines: AuditEntry[]; state: { fault: string | undefined } } {
  const lines: AuditEntry[] = [];
  const state: { fault: string | undefined } = { fault: undefined };
  const add = (entry: AuditEntry): void => void lines.push(entry);
  const audit: Audit = {
    ...NO_AUDIT,
    record: add,
    recordSoon: add,
    refusal: () => state.fault,
    status: () => ({
      isOn: true,
      fault: state.fault === undefined ? undefined : { since: SINCE, message: state.fault },
      waitingLines: 2,
      droppedLines: 1,
      head: { n: 7, mac: 'ab'.repeat(32) },
    }),
  };
  return { audit, lines, state };
}

async function failing(definition: object = withCandidate()) {
  const found = brittle();
  service = await serve({ more: { audit: found.audit } });
  await place(service, definition);
  found.state.fault = 'ENOSPC: no space left on device';
  return found;
}

const at = (path: string): string => `${service.url}/api/v1/models/${path}`;

test.each([
  ['deploy', 'POST', { config: iris({ model_id: 'rose' }) }],
  ['iris', 'PUT', { config: { version: 'v9' } }],
  ['iris/scale', 'POST', { replicas: 1 }],
  ['iris/rollback', 'POST', { revision: 1 }],
  ['iris/traffic', 'POST', { candidate: 'next', percent: 10.01 }],
  ['iris/traffic', 'POST', { candidate: 'unknown', percent: 0 }],
  ['iris/promote', 'POST', {}],
  ['iris', 'DELETE', undefined],
])('%s (%s) is refused while no line can be written, and changes nothing', async (...call) => {
  const { lines, state } = await failing();
  const [path, method, body] = call;
  const before = (await ask(at('iris/status'))).body;
  const reply = await ask(at(path), method, body);
  expect([reply.status, codeOf(reply)]).toEqual([503, 'AUDIT_UNAVAILABLE']);
  expect(reply.headers.get('retry-after')).toBe('5');
  expect(JSON.stringify(reply.body)).toContain('ENOSPC');
  expect((await ask(at('iris/status'))).body).toMatchObject({
    revision: before['revision'],
    status: before['status'],
  });
  // The attempt is kept, to be written first.
  expect(lines).toMatchObject([{ status: 503 }]);
  state.fault = undefined;
  expect((await ask(at(path), method, body)).status).not.toBe(503);
});

test.each([
  ['iris/abort', {}],
  ['iris/traffic', { candidate: 'next', percent: 0 }],
  ['iris/traffic', { candidate: 'next', percent: 9.99 }],
])('%s %j, which takes traffic from a candidate, is accepted meanwhile', async (path, body) => {
  const { lines } = await failing();
  expect((await ask(at(path), 'POST', body)).status).toBe(202);
  expect(lines).toMatchObject([{ model: 'iris', status: 202 }]);
});

test('a rollout may be held and aborted meanwhile, but not brought further', async () => {
  const { lines, state } = await failing(
    withCandidate({ traffic: undefined, rollout: { steps: [5, 100] } }),
  );
  await service.control.tick();
  const answers: string[] = [];
  for (const step of ['advance', 'hold', 'resume', 'abort', 'resume']) {
    const { status } = await ask(at(`iris/rollout/${step}`), 'POST', {});
    answers.push(`${step} ${status}`);
  }
  expect(answers).toEqual(['advance 503', 'hold 202', 'resume 503', 'abort 202', 'resume 503']);
  expect(state.fault).toBeDefined();
  expect(lines[0]).toMatchObject({ caller: 'ai-model-service', action: 'rollout', status: 200 });
});

test('a lowered share may not be raised again meanwhile', async () => {
  await failing();
  const traffic = (percent: number) =>
    ask(at('iris/traffic'), 'POST', { candidate: 'next', percent });
  expect((await traffic(1)).status).toBe(202);
  expect((await traffic(10)).status).toBe(503);
});

test('reads and dry runs are accepted meanwhile', async () => {
  await failing();
  const dry = await ask(at('deploy?dry_run=true'), 'POST', { config: iris({ model_id: 'new' }) });
  expect(dry.status).toBe(200);
  for (const path of ['', '/iris', '/iris/status', '/iris/versions']) {
    expect((await ask(`${service.url}/api/v1/models${path}`)).status).toBe(200);
  }
});

test('the health reports a blocked record, the waiting lines, and the head of the chain', async () => {
  const { state } = await failing(iris());
  expect((await ask(`${service.url}/health`)).body['status']).toBe('degraded');
  const detailed = `${service.url}/api/v1/health/detailed`;
  const told = {
    waiting_lines: 2,
    dropped_lines: 1,
    chain: { lines: 7, mac: 'ab'.repeat(32) },
  };
  expect((await ask(detailed)).body['audit']).toEqual({
    ...told,
    failing: { since: '2026-01-02T00:00:00.000Z', message: 'ENOSPC: no space left on device' },
    refuses_changes: true,
  });
  state.fault = undefined;
  expect((await ask(detailed)).body['audit']).toEqual({
    ...told,
    failing: null,
    refuses_changes: false,
  });
});

test('without a record the health has none', async () => {
  service = await serve();
  const { body } = await ask(`${service.url}/api/v1/health/detailed`);
  expect(body['audit']).toBeNull();
});

const reader = newKey();
const authenticate: Authenticate = createAuthenticate(
  {
    mode: 'api_key',
    keys: [
      { name: 'reader', sha256: reader.sha256, scopes: ['infer'], models: ['rose'] },
      { name: 'looker', sha256: newKey().sha256, scopes: ['read'] },
    ],
  },
  { loopback: false },
).authenticate;

test('a refused read is recorded with caller, model and address; others are not', async () => {
  service = await serve({ authenticate });
  const headers = { 'x-api-key': reader.key };
  await ask(at('iris/status'), 'GET', undefined, headers);
  await ask(`${service.url}/metrics`, 'GET', undefined, headers);
  await ask(at('iris'), 'GET');
  await ask(`${service.url}/api/v1/health/live`);
  await ask(`${service.url}/nothing-here`);
  const line = { action: 'read', address: expect.stringMatching(/127\.0\.0\.1$/) };
  expect(service.audit).toMatchObject([
    { ...line, caller: 'reader', model: 'iris', status: 403 },
    { ...line, caller: 'reader', model: undefined, status: 403 },
    { ...line, caller: undefined, model: 'iris', status: 401 },
  ]);
});

test('a refused change is recorded with the recognized caller', async () => {
  service = await serve({ authenticate });
  const headers = { 'x-api-key': reader.key };
  await ask(at('iris'), 'DELETE', undefined, headers);
  expect(service.audit).toMatchObject([
    { caller: 'reader', action: 'delete', model: 'iris', status: 403 },
  ]);
});
