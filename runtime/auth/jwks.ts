import type { CryptoKey, JWK } from 'jose';
import { importJWK } from 'jose';
import { entryOf } from '../../lib/spec/entry';
import type { Log } from '../shared/log';
import type { FetchJson } from './json-fetch';

/** How often the keys are read again; a key that the provider withdrew is out of force after this. */
const REFRESH_MS = 5 * 60_000;
/** How soon a fetch that failed is repeated. */
const RETRY_MS = 10_000;
/** Tokens with unknown key ids cause at most one fetch in this time. */
const UNKNOWN_KID_MS = 30_000;
/** Requests that wait for a fetch; the provider may hang, and further ones are refused at once. */
const MAX_WAITING = 100;
const MAX_KEYS = 100;
const MAX_KID_CHARACTERS = 256;

export type SigningAlgorithm =
  'RS256' | 'RS384' | 'RS512' | 'PS256' | 'PS384' | 'PS512' | 'ES256' | 'ES384' | 'ES512' | 'EdDSA';

/** The key type that an algorithm needs: a public RSA key is never the secret of an HMAC. */
const KEY_TYPE: Readonly<Record<SigningAlgorithm, string>> = {
  RS256: 'RSA',
  RS384: 'RSA',
  RS512: 'RSA',
  PS256: 'RSA',
  PS384: 'RSA',
  PS512: 'RSA',
  ES256: 'EC',
  ES384: 'EC',
  ES512: 'EC',
  EdDSA: 'OKP',
};

export interface JwksOptions {
  readonly issuer: string;
  /** Absent: the provider names it (OIDC discovery). */
  readonly jwksUrl?: string | undefined;
  readonly fetchJson: FetchJson;
  readonly clock: {
    readonly now: () => number;
    readonly setTimeout: (work: () => void, ms: number) => () => void;
  };
  readonly log: Pick<Log, 'info' | 'warn'>;
}

/** A key, or why there is none: the provider has no such key, or has not answered. */
export type FoundKey = CryptoKey | 'unknown' | 'unavailable';

interface PublicKey {
  readonly jwk: JWK;
  readonly imported: Map<string, Promise<CryptoKey | undefined>>;
}

/** Public members only, of keys that may verify signatures. */
function publicKeyOf(value: unknown): PublicKey | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { kty, kid, alg, use, key_ops: operations, n, e, crv, x, y } = value as JWK;
  if (typeof kty !== 'string' || !['RSA', 'EC', 'OKP'].includes(kty)) return undefined;
  if (use !== undefined && use !== 'sig') return undefined;
  if (Array.isArray(operations) && !operations.includes('verify')) return undefined;
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > MAX_KID_CHARACTERS)) {
    return undefined;
  }
  const members = Object.entries({ kty, kid, alg, n, e, crv, x, y });
  const jwk = Object.fromEntries(members.filter(([, one]) => one !== undefined)) as unknown as JWK;
  return { jwk, imported: new Map() };
}

/** @throws Error when it is not a set of keys */
function keysOf(document: unknown): readonly PublicKey[] {
  const keys = entryOf(document as Readonly<Record<string, unknown>>, 'keys');
  if (!Array.isArray(keys)) throw new Error('the JWKS has no list of keys');
  if (keys.length > MAX_KEYS) throw new Error(`the JWKS has more than ${MAX_KEYS} keys`);
  return keys.flatMap((key) => publicKeyOf(key) ?? []);
}

/** Signing keys of an identity provider, kept current. A provider that is down leaves the last ones. */
export class Jwks {
  private keys: readonly PublicKey[] = [];
  private text = '';
  private attemptedAt = -Infinity;
  private failure: string | undefined = 'it was not asked yet';
  private fetching: Promise<void> | undefined;
  private waiting = 0;
  private stopTimer: () => void = () => undefined;
  private isStopped = false;
  private counted = { success: 0, error: 0 };
  /** Grows when the keys change. */
  generation = 0;

  constructor(
    private readonly options: JwksOptions,
    private readonly onChange: () => void,
  ) {}

  /** Fetches now; resolves also when that fails. One fetch runs at a time. */
  refresh(): Promise<void> {
    this.fetching ??= this.fetchOnce().finally(() => {
      this.fetching = undefined;
      this.fetchLater();
    });
    return this.fetching;
  }

  async find(kid: string | undefined, algorithm: SigningAlgorithm): Promise<FoundKey> {
    const known = this.tryFind(kid, algorithm);
    if (known !== undefined) return (await this.imported(known, algorithm)) ?? 'unknown';
    const isDue = this.options.clock.now() - this.attemptedAt >= UNKNOWN_KID_MS;
    if (isDue || this.fetching !== undefined) {
      if (this.waiting >= MAX_WAITING) return 'unavailable';
      this.waiting += 1;
      await this.refresh().finally(() => (this.waiting -= 1));
    }
    const found = this.tryFind(kid, algorithm);
    if (found !== undefined) return (await this.imported(found, algorithm)) ?? 'unknown';
    return this.failure === undefined ? 'unknown' : 'unavailable';
  }

  counts(): Readonly<Record<'success' | 'error', number>> {
    return this.counted;
  }

  close(): void {
    this.isStopped = true;
    this.stopTimer();
  }

  /** A token without a key id is checked with the only key that could have signed it. */
  private tryFind(kid: string | undefined, algorithm: SigningAlgorithm): PublicKey | undefined {
    const fitting = this.keys.filter(
      ({ jwk }) =>
        jwk.kty === KEY_TYPE[algorithm] && (jwk.alg === undefined || jwk.alg === algorithm),
    );
    if (kid === undefined) return fitting.length === 1 ? fitting[0] : undefined;
    return fitting.find(({ jwk }) => jwk.kid === kid);
  }

  private imported(
    { jwk, imported }: PublicKey,
    algorithm: SigningAlgorithm,
  ): Promise<CryptoKey | undefined> {
    const before = imported.get(algorithm);
    if (before !== undefined) return before;
    // A key that is malformed, or of another curve, verifies nothing.
    const key = importJWK(jwk, algorithm).then(
      (one) => (one instanceof Uint8Array ? undefined : one),
      () => undefined,
    );
    imported.set(algorithm, key);
    return key;
  }

  private fetchLater(): void {
    this.stopTimer();
    if (this.isStopped) return;
    const ms = this.failure === undefined ? REFRESH_MS : RETRY_MS;
    this.stopTimer = this.options.clock.setTimeout(() => void this.refresh(), ms);
  }

  private async fetchOnce(): Promise<void> {
    const { clock, log, issuer } = this.options;
    this.attemptedAt = clock.now();
    try {
      const document = await this.options.fetchJson(await this.url());
      this.take(document);
      this.counted = { ...this.counted, success: this.counted.success + 1 };
      if (this.failure !== undefined) log.info('the keys of the issuer were read', { issuer });
      this.failure = undefined;
    } catch (error) {
      const { message } = error as Error;
      this.counted = { ...this.counted, error: this.counted.error + 1 };
      if (this.failure !== message) {
        log.warn(`the keys of the issuer cannot be read: ${message}`, { issuer });
      }
      this.failure = message;
    }
  }

  private take(document: unknown): void {
    const keys = keysOf(document);
    const text = JSON.stringify(keys.map(({ jwk }) => jwk));
    if (text === this.text) return;
    this.text = text;
    this.keys = keys;
    this.generation += 1;
    this.onChange();
  }

  /** https://openid.net/specs/openid-connect-discovery-1_0.html, 4 */
  private async url(): Promise<string> {
    const { issuer, jwksUrl, fetchJson } = this.options;
    if (jwksUrl !== undefined) return jwksUrl;
    const base = issuer.replace(/\/$/, '');
    const document = await fetchJson(`${base}/.well-known/openid-configuration`);
    const about = document as Readonly<Record<string, unknown>>;
    if (entryOf(about, 'issuer') !== issuer) {
      throw new Error('the discovery document names another issuer than auth.jwt.issuer');
    }
    const url = entryOf(about, 'jwks_uri');
    if (typeof url !== 'string') throw new Error('the discovery document has no jwks_uri');
    if (base.startsWith('https:') && !url.startsWith('https:')) {
      throw new Error('the discovery document names a jwks_uri without https');
    }
    return url;
  }
}
