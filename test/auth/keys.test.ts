import { createHash } from 'node:crypto';
import { authorize, createAuthenticate, newKey, SCOPES } from '../../runtime/auth';
import type { Authentication, AuthResult, RequiredAccess } from '../../runtime/auth';
import { parseConfig } from '../../runtime/app/config';

const app = newKey();
const admin = newKey();
const narrow = newKey();

const byKeys = createAuthenticate(
  {
    mode: 'api_key',
    keys: [
      { name: 'app', sha256: app.sha256, scopes: ['infer', 'read'] },
      { name: 'root', sha256: admin.sha256, scopes: ['admin'] },
      { name: 'narrow', sha256: narrow.sha256, scopes: ['infer'], models: ['iris'] },
    ],
  },
  { loopback: true },
);

/** May a request with these headers do that? */
function may(
  { authenticate }: Pick<Authentication, 'authenticate'>,
  headers: Readonly<Record<string, string>>,
  need: RequiredAccess,
): AuthResult {
  const result = authenticate({
    fields: new Map(Object.entries(headers)),
    remoteAddress: '192.0.2.1',
  });
  if (result instanceof Promise) throw new Error('keys are decided about at once');
  return authorize(result, need);
}

describe('API keys', () => {
  test('are 256 random bits, with the digest for the configuration', () => {
    const { key, sha256 } = newKey();
    expect(key).toMatch(/^ams_[A-Za-z0-9_-]{43}$/);
    expect(sha256).toBe(createHash('sha256').update(key).digest('hex'));
    expect(newKey().key).not.toBe(key);
    const text = `auth: { keys: [{ name: a, sha256: ${sha256}, scopes: [read] }] }`;
    expect(parseConfig(text).auth.keys[0]?.sha256).toBe(sha256);
  });

  test.each([
    ['X-API-Key', { 'x-api-key': app.key }],
    ['Authorization: Bearer', { authorization: `Bearer ${app.key}` }],
    ['a scheme in lower case', { authorization: `bearer ${app.key}` }],
  ])('are accepted from %s', (_, headers) => {
    expect(may(byKeys, headers, { scope: 'infer' })).toMatchObject({
      ok: true,
      caller: { name: 'app' },
    });
  });

  test('that are missing give 401 with the supported headers', () => {
    expect(may(byKeys, {}, { scope: 'read' })).toEqual({
      ok: false,
      code: 'UNAUTHENTICATED',
      message: expect.stringMatching(/X-API-Key.*Bearer/),
      reason: 'missing',
    });
  });

  test.each([
    ['another key', { 'x-api-key': newKey().key }],
    ['the digest instead of the key', { 'x-api-key': app.sha256 }],
    ['a key with a character more', { 'x-api-key': `${app.key}x` }],
    ['two keys in one header, as Node joins them', { 'x-api-key': `${app.key}, ${app.key}` }],
    ['an enormous header', { 'x-api-key': app.key.repeat(200) }],
    ['Basic', { authorization: `Basic ${app.key}` }],
    ['Bearer without a key', { authorization: 'Bearer ' }],
  ])('that are not valid give 401: %s', (_, headers) => {
    const result = may(byKeys, headers, { scope: 'read' });
    expect(result).toMatchObject({ ok: false, code: 'UNAUTHENTICATED' });
    expect(JSON.stringify(result)).not.toContain(app.key);
  });

  test('without the scope give 403, and the message names both scopes', () => {
    expect(may(byKeys, { 'x-api-key': app.key }, { scope: 'write' })).toEqual({
      ok: false,
      code: 'FORBIDDEN',
      message: 'this needs the scope write; the key of app has infer, read; use another key',
    });
  });

  test.each(SCOPES)('with admin have the scope %s', (scope) => {
    expect(may(byKeys, { 'x-api-key': admin.key }, { scope, model: 'any' }).ok).toBe(true);
  });

  test('for some models give 403 for others', () => {
    const headers = { 'x-api-key': narrow.key };
    expect(may(byKeys, headers, { scope: 'infer', model: 'iris' }).ok).toBe(true);
    expect(may(byKeys, headers, { scope: 'infer' }).ok).toBe(true);
    expect(may(byKeys, headers, { scope: 'infer', model: 'other' })).toMatchObject({
      code: 'FORBIDDEN',
      message: expect.stringContaining('other'),
    });
  });

  test('can be checked again for a scope without the key itself', () => {
    const result = may(byKeys, { 'x-api-key': narrow.key }, { scope: 'infer' });
    if (!result.ok) throw new Error(result.message);
    expect(authorize(result, { scope: 'infer', model: 'other' }).ok).toBe(false);
    expect(authorize(result, { scope: 'infer', model: 'iris' }).ok).toBe(true);
  });
});

describe('a key with an end', () => {
  const clock = { at: Date.parse('2027-01-01T00:00:00Z') };
  const { key, sha256 } = newKey();
  const short = createAuthenticate(
    { keys: [{ name: 'short', sha256, scopes: ['infer'], expires: '2027-01-01T01:00:00+01:00' }] },
    { loopback: false, clock: { now: () => clock.at, setTimeout: () => () => undefined } },
  );
  const use = (): AuthResult => may(short, { 'x-api-key': key }, { scope: 'infer' });

  test('expires at its time with offset, checked at each request', () => {
    clock.at -= 1;
    expect(use().ok).toBe(true);
    clock.at += 1;
    expect(use()).toMatchObject({
      code: 'UNAUTHENTICATED',
      reason: 'expired',
      message: expect.stringContaining('short expired at 2027-01-01T00:00:00.000Z'),
    });
  });

  test.each(['2027-01-01', '2027-01-01T00:00:00', 'tomorrow', '2027-13-01T00:00:00Z'])(
    'is refused with the time %s',
    (expires) => {
      const text = `auth: { keys: [{ name: a, sha256: ${sha256}, scopes: [read], expires: '${expires}' }] }`;
      expect(() => parseConfig(text)).toThrow(/expires.*2027-01-31T00:00:00Z/);
    },
  );
});

test('results are counted by credential and result', () => {
  const { key, sha256 } = newKey();
  const counted = createAuthenticate(
    { keys: [{ name: 'app', sha256, scopes: ['infer'] }] },
    { loopback: false },
  );
  for (const one of [key, key, 'guess']) may(counted, { 'x-api-key': one }, { scope: 'infer' });
  may(counted, {}, { scope: 'infer' });
  void counted.recognize({ fields: new Map(), remoteAddress: '192.0.2.1' });
  expect(counted.numbers().results).toEqual([
    { credential: 'key', result: 'ok', count: 2 },
    { credential: 'key', result: 'unknown', count: 1 },
    { credential: 'none', result: 'missing', count: 1 },
  ]);
});

describe('a service without configured keys', () => {
  test('is open on loopback', () => {
    const open = createAuthenticate({ keys: [] }, { loopback: true });
    expect(open.generatedKey).toBeUndefined();
    expect(may(open, { host: '127.0.0.1:8080' }, { scope: 'admin' }).ok).toBe(true);
  });

  test.each(['localhost', 'LOCALHOST:8080', '127.0.0.1', '[::1]:8080', 'a.localhost:1'])(
    'answers to %s on loopback',
    (host) => {
      const open = createAuthenticate({ keys: [] }, { loopback: true });
      expect(may(open, { host }, { scope: 'write' }).ok).toBe(true);
    },
  );

  test.each(['evil.example', 'evil.example:8080', 'localhost.evil.example', '127.0.0.1.example'])(
    'does not answer to %s on loopback, which a web page can point at this machine',
    (host) => {
      const open = createAuthenticate({ keys: [] }, { loopback: true });
      expect(may(open, { host }, { scope: 'infer' })).toMatchObject({ code: 'FORBIDDEN' });
    },
  );

  test.each(['https://evil.example', 'http://localhost.evil.example:8080', 'null'])(
    'does not answer to a page of %s on loopback',
    (origin) => {
      const open = createAuthenticate({ keys: [] }, { loopback: true });
      const headers = { host: 'localhost:8080', origin };
      expect(may(open, headers, { scope: 'write' })).toMatchObject({ code: 'FORBIDDEN' });
    },
  );

  test('answers to a page of this machine on loopback', () => {
    const open = createAuthenticate({ keys: [] }, { loopback: true });
    const headers = { host: 'localhost:8080', origin: 'http://localhost:3000' };
    expect(may(open, headers, { scope: 'write' }).ok).toBe(true);
  });

  test('makes a random admin key beyond loopback, and nothing is open', () => {
    const made = createAuthenticate({ keys: [] }, { loopback: false });
    const headers = { 'x-api-key': made.generatedKey ?? '' };
    expect(made.generatedKey).toMatch(/^ams_/);
    expect(may(made, {}, { scope: 'read' }).ok).toBe(false);
    expect(may(made, headers, { scope: 'admin' })).toMatchObject({
      ok: true,
      caller: { name: 'generated' },
    });
  });

  test('makes one on loopback as well when api_key is configured', () => {
    const made = createAuthenticate({ mode: 'api_key', keys: [] }, { loopback: true });
    expect(made.generatedKey).toBeDefined();
    expect(may(made, { host: 'localhost' }, { scope: 'read' }).ok).toBe(false);
  });

  test('is open anywhere with mode none', () => {
    const open = createAuthenticate({ mode: 'none', keys: [] }, { loopback: false });
    expect(open.generatedKey).toBeUndefined();
    expect(may(open, { host: 'models.example' }, { scope: 'admin' }).ok).toBe(true);
  });
});
