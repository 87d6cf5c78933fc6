import { createAuthenticate, newKey } from '../../runtime/auth';
import type { AuthResult, ClientCertificate } from '../../runtime/auth';
import { HAND_OVER_HEADER } from '../../runtime/auth/port';
import { parseConfig } from '../../runtime/app/config';
import { manualClock } from '../support/manual-clock';

const shown = (more: Partial<ClientCertificate> = {}): ClientCertificate => ({
  subject: 'C=DE\nO=Clinic\\, North\nCN=app',
  subjectAltName: 'DNS:App.Clinic.example, IP Address:192.0.2.7, URI:"spiffe://clinic/a,b"',
  validTo: 'Jan  1 00:00:00 2028 GMT',
  ...more,
});

function scene(entry: object, mode?: 'none' | 'api_key') {
  const { key, sha256 } = newKey();
  const { auth } = parseConfig(
    JSON.stringify({ auth: { client_certs: [{ name: 'app', scopes: ['infer'], ...entry }] } }),
  );
  const clock = manualClock();
  const made = createAuthenticate(
    { ...auth, keys: [{ name: 'key', sha256, scopes: ['read'] }], ...(mode && { mode }) },
    { loopback: false, clock },
  );
  const as = (certificate?: ClientCertificate, headers: Readonly<Record<string, string>> = {}) =>
    made.recognize({
      fields: new Map(Object.entries(headers)),
      remoteAddress: '192.0.2.1',
      certificate,
    }) as AuthResult;
  return { as, key, clock, made };
}

describe('a client certificate', () => {
  test.each([
    ['its subject from the root on', { subject: 'C=DE,O=Clinic\\, North,CN=app' }],
    ['its subject towards the root', { subject: 'CN=app, O=Clinic\\, North, C=DE' }],
    ['a name of the DNS, in any case', { san: 'DNS:app.clinic.example' }],
    ['an address', { san: 'IP:192.0.2.7' }],
    ['a URI with a comma', { san: 'URI:"spiffe://clinic/a,b"' }],
    ['both', { subject: 'C=DE,O=Clinic\\, North,CN=app', san: 'IP:192.0.2.7' }],
  ])('is known by %s', (_, entry) => {
    expect(scene(entry).as(shown())).toEqual({
      ok: true,
      caller: { name: 'app', scopes: ['infer'], credential: 'certificate' },
    });
  });

  test.each([
    ['a part of the subject', { subject: 'CN=app' }],
    ['another subject', { subject: 'C=DE,O=Clinic\\, North,CN=apple' }],
    ['a part of a name', { san: 'DNS:clinic.example' }],
    ['a URI within another', { san: 'URI:spiffe://clinic/a' }],
    ['a name of another kind', { san: 'URI:app.clinic.example' }],
    ['one of both', { subject: 'CN=app', san: 'IP:192.0.2.7' }],
  ])('is not known by %s', (_, entry) => {
    expect(scene(entry).as(shown())).toMatchObject({ ok: false, reason: 'unknown' });
  });

  test('with a name that looks like several is one name', () => {
    const forged = shown({ subjectAltName: 'URI:"x, DNS:app.clinic.example"' });
    expect(scene({ san: 'DNS:app.clinic.example' }).as(forged).ok).toBe(false);
  });

  test('that ends during a connection is refused from then on', () => {
    const { as, clock } = scene({ san: 'IP:192.0.2.7' });
    const certificate = shown({ validTo: 'Jan  1 00:01:00 2027 GMT' });
    expect(as(certificate).ok).toBe(true);
    clock.advance(60_000);
    expect(as(certificate)).toMatchObject({ ok: false, reason: 'expired' });
  });

  test('stands behind a key that the request shows, right or wrong', () => {
    const { as, key } = scene({ san: 'IP:192.0.2.7' });
    expect(as(shown(), { 'x-api-key': key })).toMatchObject({ caller: { name: 'key' } });
    expect(as(shown(), { 'x-api-key': 'x' })).toMatchObject({ ok: false, credential: 'key' });
    expect(as(undefined)).toMatchObject({ ok: false, reason: 'missing' });
  });

  test('counts for nothing with mode none', () => {
    expect(scene({ san: 'IP:192.0.2.7' }, 'none').as(shown())).toMatchObject({
      caller: { name: 'anonymous' },
    });
  });

  test.each([{}, { san: 'app.clinic.example' }, { san: 'URI:' }])('%j names none', (entry) => {
    expect(() => scene(entry)).toThrow('client_certs');
  });
});

describe('a caller that is handed over', () => {
  test('is the one whose certificate was shown', () => {
    const { as, made } = scene({ san: 'IP:192.0.2.7' });
    const value = made.handOver({ certificate: shown() }) ?? '';
    expect(as(undefined, { [HAND_OVER_HEADER]: value })).toMatchObject({ caller: { name: 'app' } });
    const stranger = made.handOver({ certificate: shown({ subjectAltName: undefined }) }) ?? '';
    expect(as(undefined, { [HAND_OVER_HEADER]: stranger })).toMatchObject({ reason: 'unknown' });
    expect(made.handOver({})).toBeUndefined();
  });

  test.each(['0', '', 'x', '0'.repeat(64), `${'0'.repeat(64)}0`, 'é'.repeat(65)])(
    'is not recognized by the guess %s',
    (guess) => {
      const { as } = scene({ san: 'IP:192.0.2.7' });
      expect(as(undefined, { [HAND_OVER_HEADER]: guess })).toMatchObject({ reason: 'missing' });
    },
  );
});
