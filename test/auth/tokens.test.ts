import { createHmac } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { parseConfig } from '../../runtime/app/config';
import type { AuthResult } from '../../runtime/auth';
import { authorize, createAuthenticate, newKey } from '../../runtime/auth';
import { checkedUrl } from '../../runtime/auth/json-fetch';
import type { ManualClock } from '../support/manual-clock';
import { manualClock } from '../support/manual-clock';
import type { SigningKey } from '../support/issuer';
import { compact, signed, signingKey } from '../support/issuer';

// Tokens by an injected clock and provider: what is accepted, what is not, and what is fetched.

const ISSUER = 'https://id.example';
const AUDIENCE = 'models';
const [rsa, ec, other] = [signingKey('r1', 'RS256'), signingKey('e1'), signingKey('e2')];

interface Scene {
  readonly clock: ManualClock;
  /** The documents of the provider; a test replaces them. */
  readonly provider: { jwks: unknown; fetched: string[]; answer?: () => Promise<unknown> };
  readonly show: (token: string) => AuthResult | Promise<AuthResult>;
  readonly auth: ReturnType<typeof createAuthenticate>;
}

const jwksOf = (...keys: readonly SigningKey[]): object => ({ keys: keys.map(({ jwk }) => jwk) });

async function scene(more: object = {}, mode: 'jwt' | 'both' = 'jwt'): Promise<Scene> {
  const clock = manualClock();
  const provider: Scene['provider'] = { jwks: jwksOf(rsa, ec), fetched: [] };
  const auth = createAuthenticate(
    {
      mode,
      keys: [{ name: 'app', sha256: own.sha256, scopes: ['infer'] }],
      jwt: {
        issuer: ISSUER,
        audience: [AUDIENCE],
        jwksUrl: `${ISSUER}/jwks`,
        algorithms: ['RS256', 'ES256'],
        scopesClaim: 'scope',
        clockSkewSeconds: 30,
        ...more,
      },
    },
    {
      loopback: false,
      clock,
      fetchJson: async (url) => {
        provider.fetched.push(url);
        return provider.answer === undefined ? provider.jwks : provider.answer();
      },
    },
  );
  await auth.open();
  const show = (token: string) =>
    auth.recognize({
      fields: new Map([['authorization', `Bearer ${token}`]]),
      remoteAddress: '192.0.2.1',
    });
  return { clock, provider, show, auth };
}

const own = newKey();
const NOW = Math.floor(manualClock().now() / 1000);
const claims = (more: object = {}): object => ({
  iss: ISSUER,
  aud: AUDIENCE,
  sub: 'clinic',
  scope: 'infer read openid',
  iat: NOW,
  exp: NOW + 3600,
  ...more,
});

describe('a token', () => {
  test.each([
    ['RS256', rsa],
    ['ES256', ec],
  ])('signed by %s is that of its subject, with its scopes and no others', async (_, key) => {
    const { show } = await scene();
    expect(await show(signed(key, claims()))).toEqual({
      ok: true,
      caller: { name: 'jwt:clinic', scopes: ['infer', 'read'], credential: 'token' },
    });
  });

  test('is decided about at once from the second time on, until it ends', async () => {
    const { show, clock } = await scene();
    const token = signed(ec, claims({ exp: NOW + 60 }));
    const first = show(token);
    expect(first).toBeInstanceOf(Promise);
    await first;
    expect(show(token)).toEqual(await first);
    clock.advance(60_000);
    expect(await show(token)).toMatchObject({ ok: true });
    clock.advance(30_000);
    expect(await show(token)).toMatchObject({ reason: 'expired' });
  });

  test.each([
    ['tabs', (token: string) => token.replace(/.{20}$/, '\t\t$&')],
    ['padding', (token: string) => `${token}==`],
    ['another part', (token: string) => `${token}.x`],
  ])('is not the same token with %s', async (_, spell) => {
    const { show } = await scene();
    const token = signed(ec, claims());
    expect(await show(token)).toMatchObject({ ok: true });
    expect(await show(spell(token))).toMatchObject({ reason: 'malformed' });
  });

  test('is verified again after five minutes', async () => {
    const { show, clock } = await scene();
    const token = signed(ec, claims());
    await show(token);
    clock.advance(299_999);
    expect(show(token)).not.toBeInstanceOf(Promise);
    clock.advance(1);
    expect(show(token)).toBeInstanceOf(Promise);
  });

  test.each([
    ['a list', ['infer', 'arms'], ['infer', 'arms']],
    ['a text', 'arms', ['arms']],
    ['nothing', undefined, []],
    ['a number', 7, []],
    ['a list of other things', [1, { infer: 1 }, ['infer']], []],
    ['an object', { infer: true }, []],
    ['a scope in capitals', 'INFER', []],
    ['a scope within a word', 'infer-all xinfer', []],
  ])('has the scopes of its claim: %s', async (_, scope, scopes) => {
    const { show } = await scene();
    const result = await show(signed(ec, claims({ scope })));
    expect(result).toMatchObject({ caller: { scopes } });
    const may = authorize(result, { scope: 'write' });
    expect(may).toMatchObject({ ok: false, code: 'FORBIDDEN' });
  });

  test.each([
    ['a list', ['iris'], ['iris']],
    ['a text', 'iris rose', ['iris', 'rose']],
    ['absent', undefined, []],
    ['malformed', 7, []],
    ['a star', '*', undefined],
  ])('has the models of its claim, none by default: %s', async (_, models, expected) => {
    const { show } = await scene({ modelsClaim: 'ai_models' });
    const result = await show(signed(ec, claims({ ai_models: models })));
    if (!result.ok) throw new Error(result.message);
    expect(result.caller.models).toEqual(expected);
  });

  test.each(['__proto__', 'constructor', 'toString'])(
    'has no claim %s that it does not have',
    async (name) => {
      const { show } = await scene({ scopesClaim: name, modelsClaim: name });
      expect(await show(signed(ec, claims()))).toMatchObject({
        caller: { scopes: [], models: [] },
      });
    },
  );

  test.each([
    ['its client', { sub: undefined, client_id: 'batch' }, 'jwt:batch'],
    ['the name of a key', { sub: 'app' }, 'jwt:app'],
    ['the name of everyone', { sub: 'anonymous' }, 'jwt:anonymous'],
    ['__proto__', { sub: '__proto__' }, 'jwt:__proto__'],
  ])('of %s has a name that no key has', async (_, more, name) => {
    const { show } = await scene();
    expect(await show(signed(ec, claims(more)))).toMatchObject({ caller: { name } });
  });
});

const HMAC = (secret: string | Buffer) => (input: string) =>
  createHmac('sha256', secret).update(input).digest();

describe('is refused', () => {
  const pem = rsa.publicKey.export({ type: 'spki', format: 'pem' });
  const forged = (header: object, more = {}): string =>
    compact({ kid: 'e1', ...header }, claims(more), () => 'x');
  test.each<[string, string, string]>([
    ['algorithm none', compact({ alg: 'none' }, claims(), () => ''), 'bad_algorithm'],
    ['none in capitals', compact({ alg: 'None', kid: 'e1' }, claims(), () => ''), 'bad_algorithm'],
    [
      'an HMAC by the public key in PEM',
      compact({ alg: 'HS256', kid: 'r1' }, claims(), HMAC(pem)),
      'bad_algorithm',
    ],
    [
      'an HMAC by the key in JSON',
      compact({ alg: 'HS256', kid: 'r1' }, claims(), HMAC(JSON.stringify(rsa.jwk))),
      'bad_algorithm',
    ],
    [
      'an HMAC by an empty secret',
      compact({ alg: 'HS256', kid: 'e1' }, claims(), HMAC('')),
      'bad_algorithm',
    ],
    ['RS256 with the key of ES256', signed(ec, claims(), { alg: 'RS256' }), 'unknown_kid'],
    ['an algorithm that is a list', signed(ec, claims(), { alg: ['ES256'] }), 'bad_algorithm'],
    [
      'an allowed algorithm of another case',
      signed(ec, claims(), { alg: 'es256' }),
      'bad_algorithm',
    ],
    [
      'a signature of another key under a known id',
      signed({ ...other, kid: 'e1' }, claims()),
      'bad_signature',
    ],
    ['no signature', forged({ alg: 'ES256' }).replace(/[^.]+$/, ''), 'bad_signature'],
    ['a signature that is text', forged({ alg: 'ES256' }), 'bad_signature'],
    [
      'its own key in the header',
      signed({ ...other, kid: 'e1' }, claims(), { jwk: other.jwk }),
      'bad_signature',
    ],
    [
      'a key address in the header',
      signed({ ...other, kid: 'e1' }, claims(), { jku: 'http://127.0.0.1:1/' }),
      'bad_signature',
    ],
    [
      'a certificate address in the header',
      signed({ ...other, kid: 'e1' }, claims(), { x5u: 'http://127.0.0.1:1/' }),
      'bad_signature',
    ],
    ['an unknown key', signed(other, claims()), 'unknown_kid'],
    ['no key id where two keys fit', signed(ec, claims(), { kid: 7 }), 'malformed'],
    [
      'a key id that is a path',
      signed({ ...ec, kid: '../../etc/passwd' }, claims()),
      'unknown_kid',
    ],
    ['a key id for a database', signed({ ...ec, kid: "x' OR '1'='1" }, claims()), 'unknown_kid'],
    ['a key id __proto__', signed({ ...ec, kid: '__proto__' }, claims()), 'unknown_kid'],
    ['a key id constructor', signed({ ...ec, kid: 'constructor' }, claims()), 'unknown_kid'],
    ['an endless key id', signed({ ...ec, kid: 'x'.repeat(1000) }, claims()), 'malformed'],
    ['an endless token', signed(ec, claims({ x: 'x'.repeat(9000) })), 'malformed'],
    [
      'an extension that must be understood',
      signed(ec, claims(), { crit: ['x'], x: 1 }),
      'malformed',
    ],
    [
      'a payload that is not encoded',
      signed(ec, claims(), { crit: ['b64'], b64: false }),
      'malformed',
    ],
    ['a token of another kind', signed(ec, claims(), { typ: 'logout+jwt' }), 'malformed'],
    ['one that ended', signed(ec, claims({ exp: NOW - 31 })), 'expired'],
    ['one without an end', signed(ec, claims({ exp: undefined })), 'invalid_claim'],
    ['an end that is text', signed(ec, claims({ exp: '9999999999' })), 'invalid_claim'],
    ['one that begins later', signed(ec, claims({ nbf: NOW + 31 })), 'invalid_claim'],
    ['another audience', signed(ec, claims({ aud: 'other' })), 'wrong_audience'],
    ['a list of other audiences', signed(ec, claims({ aud: ['a', 'models-2'] })), 'wrong_audience'],
    ['no audience', signed(ec, claims({ aud: undefined })), 'wrong_audience'],
    ['another issuer', signed(ec, claims({ iss: `${ISSUER}/` })), 'wrong_issuer'],
    ['an issuer in a list', signed(ec, claims({ iss: [ISSUER] })), 'wrong_issuer'],
    ['no issuer', signed(ec, claims({ iss: undefined })), 'wrong_issuer'],
    ['no subject', signed(ec, claims({ sub: undefined })), 'invalid_claim'],
    ['a subject with a line', signed(ec, claims({ sub: 'a\nb' })), 'invalid_claim'],
    ['an endless subject', signed(ec, claims({ sub: 'x'.repeat(300) })), 'invalid_claim'],
    ['a subject that is an object', signed(ec, claims({ sub: { toString: 1 } })), 'invalid_claim'],
    [
      'claims that are a list',
      compact({ alg: 'ES256', kid: 'e1' }, [], () => 'x'),
      'bad_signature',
    ],
    ['five parts', `${signed(ec, claims())}.a.b`, 'malformed'],
    ['no JSON', 'YQ.YQ.YQ', 'malformed'],
    ['an API key', own.key, 'malformed'],
  ])('%s', async (_, token, reason) => {
    const { show, provider } = await scene();
    expect(await show(token)).toMatchObject({ ok: false, code: 'UNAUTHENTICATED', reason });
    // Nothing that a token names is fetched.
    expect(new Set(provider.fetched)).toEqual(new Set([`${ISSUER}/jwks`]));
  });

  test.each(['HS256', 'HS512', 'none', 'dir'])('%s cannot be configured', (algorithm) => {
    const text = `auth: { jwt: { issuer: i, audience: [a], algorithms: [${algorithm}] } }`;
    expect(() => parseConfig(text)).toThrow(/algorithms\[0\].*RS256/);
  });

  test('a symmetric key, a key for encryption and a weak one in the JWKS verify nothing', async () => {
    const secret = Buffer.from('secret');
    const { show, provider, auth } = await scene({ algorithms: ['RS256', 'ES256'] });
    provider.jwks = {
      keys: [
        { kty: 'oct', kid: 'h', k: secret.toString('base64url') },
        { ...ec.jwk, kid: 'enc', use: 'enc' },
        { ...ec.jwk, kid: 'nothing', x: '!' },
        null,
        'key',
      ],
    };
    await auth.reload();
    const token = compact({ alg: 'HS256', kid: 'h' }, claims(), HMAC(secret));
    expect(await show(token)).toMatchObject({ reason: 'bad_algorithm' });
    for (const kid of ['enc', 'nothing']) {
      expect(await show(signed({ ...ec, kid }, claims()))).toMatchObject({ reason: 'unknown_kid' });
    }
  });
});

describe('the keys of the issuer', () => {
  test('ten thousand unknown ids cause at most one fetch in 30 s', async () => {
    const { show, provider, clock } = await scene();
    const tokens = Array.from({ length: 10_000 }, (_, at) =>
      compact({ alg: 'ES256', kid: `k${at}` }, claims(), () => 'x'),
    );
    await Promise.all(tokens.slice(0, 5000).map((token) => show(token)));
    expect(provider.fetched).toHaveLength(1);
    clock.advance(30_000);
    await Promise.all(tokens.map((token) => show(token)));
    clock.advance(29_999);
    await Promise.all(tokens.map((token) => show(token)));
    expect(provider.fetched).toHaveLength(2);
  });

  test('that are new are read when a token names one, and old tokens are verified again', async () => {
    const { show, provider, clock } = await scene();
    const old = signed(ec, claims());
    expect(await show(old)).toMatchObject({ ok: true });
    provider.jwks = jwksOf(other);
    clock.advance(30_000);
    expect(await show(signed(other, claims()))).toMatchObject({ ok: true });
    expect(await show(old)).toMatchObject({ ok: false, reason: 'unknown_kid' });
  });

  test('that were withdrawn are out of force after five minutes without any request', async () => {
    const { show, provider, clock, auth } = await scene();
    const token = signed(ec, claims());
    await show(token);
    provider.jwks = jwksOf(rsa);
    clock.advance(300_000);
    await auth.reload();
    expect(await show(token)).toMatchObject({ ok: false, reason: 'unknown_kid' });
  });

  test('a token whose signature was checked while the keys changed is not kept', async () => {
    const { show, provider, auth } = await scene();
    const token = signed(ec, claims());
    provider.jwks = jwksOf(rsa);
    const [result] = await Promise.all([show(token), auth.reload()]);
    expect(result.ok).toBe(true);
    expect(await show(token)).toMatchObject({ reason: 'unknown_kid' });
  });

  test('stay in force while the provider is down; unknown ones are 503 then, and known to be wrong 401', async () => {
    const { show, provider, clock } = await scene();
    provider.answer = () => Promise.reject(new Error('id.example: refused'));
    clock.advance(30_000);
    expect(await show(signed(other, claims()))).toMatchObject({
      code: 'CLUSTER_UNAVAILABLE',
      reason: 'unavailable',
    });
    expect(await show(signed(ec, claims()))).toMatchObject({ ok: true });
    expect(await show(signed({ ...other, kid: 'e1' }, claims()))).toMatchObject({
      reason: 'bad_signature',
    });
  });

  test('a provider that is down at the start is asked again without a request', async () => {
    const { show, provider, clock, auth } = await scene();
    provider.answer = () => Promise.reject(new Error('down'));
    await auth.reload();
    const failed = provider.fetched.length;
    delete provider.answer;
    provider.jwks = jwksOf(other);
    clock.advance(10_000);
    await nextTurn();
    expect(provider.fetched).toHaveLength(failed + 1);
    expect(await show(signed(other, claims()))).toMatchObject({ ok: true });
  });

  test('a slow provider is asked once by all who wait', async () => {
    const { show, provider, clock } = await scene();
    let answer: (value: unknown) => void = () => undefined;
    provider.answer = () => new Promise((resolve) => (answer = resolve));
    clock.advance(30_000);
    const shown = Array.from({ length: 100 }, (_, at) =>
      show(signed(other, claims({ sub: `s${at}` }))),
    );
    await nextTurn();
    answer(jwksOf(other));
    expect((await Promise.all(shown)).every(({ ok }) => ok)).toBe(true);
    expect(provider.fetched).toHaveLength(2);
  });

  test('a hundred requests wait for a slow provider, further ones are refused at once', async () => {
    const { show, provider, clock } = await scene();
    let answer: (value: unknown) => void = () => undefined;
    provider.answer = () => new Promise((resolve) => (answer = resolve));
    clock.advance(30_000);
    const [unknown, known] = [signed(other, claims()), signed(ec, claims())];
    const early = Array.from({ length: 100 }, (_, at) =>
      show(signed(other, claims({ sub: `s${at}` }))),
    );
    expect(await show(unknown)).toMatchObject({ code: 'CLUSTER_UNAVAILABLE' });
    expect(await show(known)).toMatchObject({ ok: true });
    answer(jwksOf(other));
    expect((await Promise.all(early)).every(({ ok }) => ok)).toBe(true);
    expect(await show(unknown)).toMatchObject({ ok: true });
  });

  test.each([
    ['no object', 7],
    ['no list', { keys: {} }],
    ['too many', { keys: Array.from({ length: 101 }, () => ec.jwk) }],
  ])('that are %s leave the last ones in force', async (_, jwks) => {
    const { show, provider, auth } = await scene();
    provider.jwks = jwks;
    await auth.reload();
    expect(auth.numbers().jwksFetches).toEqual({ success: 1, error: 1 });
    expect(await show(signed(ec, claims()))).toMatchObject({ ok: true });
  });
});

describe('OIDC discovery', () => {
  const discovered = async (document: unknown) => {
    const made = await scene({ jwksUrl: undefined });
    const { provider, auth } = made;
    provider.answer = async () =>
      provider.fetched.at(-1)?.endsWith('/openid-configuration') === true
        ? document
        : provider.jwks;
    await auth.reload();
    return made;
  };

  test('names the keys', async () => {
    const { show, provider } = await discovered({ issuer: ISSUER, jwks_uri: `${ISSUER}/k` });
    expect(await show(signed(ec, claims()))).toMatchObject({ ok: true });
    expect(provider.fetched.slice(-2)).toEqual([
      `${ISSUER}/.well-known/openid-configuration`,
      `${ISSUER}/k`,
    ]);
  });

  test('shows the beginning of a URL of the document only, escaped', () => {
    const rest = `\n${'x'.repeat(900_000)}`;
    expect(() => checkedUrl(`x${rest}`)).toThrow(/^"x\\nx{198}": is not a URL$/);
    expect(() => checkedUrl(`ftp:${rest}`)).toThrow(/^"ftp:\\nx{195}": must be https/);
    expect(() => checkedUrl(`https://u@x${rest}`)).toThrow(/^"x{200}": the URL must hold no user/);
  });

  test.each([
    ['of another issuer', { issuer: 'https://evil.example', jwks_uri: `${ISSUER}/k` }],
    ['without keys', { issuer: ISSUER }],
    ['with keys over http', { issuer: ISSUER, jwks_uri: 'http://id.example/k' }],
    ['with keys of this machine', { issuer: ISSUER, jwks_uri: 'http://127.0.0.1:1/k' }],
  ])('%s is not followed', async (_, document) => {
    const { show } = await discovered(document);
    expect(await show(signed(ec, claims()))).toMatchObject({ code: 'CLUSTER_UNAVAILABLE' });
  });
});

describe('a key and a token', () => {
  const fields = (entries: Readonly<Record<string, string>>) => ({
    fields: new Map(Object.entries(entries)),
    remoteAddress: '192.0.2.1',
  });

  test('are accepted by mode both', async () => {
    const { auth, show } = await scene({}, 'both');
    expect(auth.recognize(fields({ 'x-api-key': own.key }))).toMatchObject({
      caller: { name: 'app' },
    });
    expect(show(own.key)).toMatchObject({ caller: { name: 'app' } });
    expect(await show(signed(ec, claims()))).toMatchObject({ caller: { name: 'jwt:clinic' } });
  });

  test('of both headers the key counts', async () => {
    const { auth } = await scene({}, 'both');
    const token = `Bearer ${signed(ec, claims({ scope: 'admin' }))}`;
    const both = (key: string) =>
      auth.recognize(fields({ 'x-api-key': key, authorization: token }));
    expect(both(own.key)).toMatchObject({ caller: { name: 'app' } });
    expect(both('wrong')).toMatchObject({ ok: false, reason: 'unknown' });
  });

  test('of mode jwt no key is accepted', async () => {
    const { auth } = await scene();
    expect(auth.recognize(fields({ 'x-api-key': own.key }))).toMatchObject({ reason: 'missing' });
  });
});
