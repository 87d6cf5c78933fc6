import { hash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { KeyEntry } from '../../lib/config';
import type { AuthResult, Caller } from './port';
import { refused } from './port';

/** 256 bits: guessing is hopeless, so that a fast hash (and no salt) is enough to store it. */
const KEY_BYTES = 32;
/** Lets people and secret scanners recognise a key. */
const KEY_PREFIX = 'ams_';
/** Longer header values are rejected without hashing. */
const MAX_KEY_CHARACTERS = 512;

export interface NewKey {
  /** Shown once; stored nowhere. */
  readonly key: string;
  /** Hex digest for `auth.keys[].sha256`. */
  readonly sha256: string;
}

/** A random key with the digest that goes into the configuration. */
export function newKey(): NewKey {
  const key = `${KEY_PREFIX}${randomBytes(KEY_BYTES).toString('base64url')}`;
  return { key, sha256: hash('sha256', key) };
}

/** A key that is in force, as requests need it. */
export interface ApiKey {
  readonly sha256: string;
  readonly digest: Buffer;
  /** Milliseconds since the epoch; `Infinity`: never. */
  readonly expiresAt: number;
  readonly result: AuthResult & { readonly ok: true };
}

export function apiKeyOf(entry: KeyEntry): ApiKey {
  const { name, sha256, scopes, models, expires, requestsPerMinute, concurrency } = entry;
  const isLimited = requestsPerMinute !== undefined || concurrency !== undefined;
  const caller: Caller = {
    name,
    scopes,
    ...(models !== undefined && { models }),
    credential: 'key',
    ...(isLimited && { quota: { requestsPerMinute, concurrency } }),
  };
  return {
    sha256,
    digest: Buffer.from(sha256, 'hex'),
    expiresAt: expires === undefined ? Infinity : Date.parse(expires),
    result: { ok: true, caller },
  };
}

const UNKNOWN = refused(
  'UNAUTHENTICATED',
  'the key is not known here; check it, or ask the administrator for one',
  'unknown',
  'key',
);

function expired({ result, expiresAt }: ApiKey): AuthResult {
  const at = new Date(expiresAt).toISOString();
  const { name } = result.caller;
  return refused(
    'UNAUTHENTICATED',
    `the key of ${name} expired at ${at}; ask the administrator for another`,
    'expired',
    'key',
  );
}

/** Most keys cached. */
const MAX_FOUND = 1000;

/**
 * The keys in force. They are looked up by digest, so that timing reveals only digests of guesses,
 * which an attacker cannot choose. Valid keys are cached, since hashing is half the cost of
 * authentication; guesses are never kept.
 */
export class KeyRing {
  private keys: ReadonlyMap<string, ApiKey> = new Map();
  private found = new Map<string, ApiKey>();

  constructor(private readonly now: () => number) {}

  get size(): number {
    return this.keys.size;
  }

  /** From the next request on these are in force, and no others. */
  replace(keys: ReadonlyMap<string, ApiKey>): void {
    this.keys = keys;
    this.found = new Map();
  }

  resultOf(key: string): AuthResult {
    if (key.length > MAX_KEY_CHARACTERS) return UNKNOWN;
    const entry = this.found.get(key) ?? this.lookUp(key);
    if (entry === undefined) return UNKNOWN;
    return entry.expiresAt > this.now() ? entry.result : expired(entry);
  }

  private lookUp(key: string): ApiKey | undefined {
    const sha256 = hash('sha256', key);
    const entry = this.keys.get(sha256);
    if (entry === undefined || !timingSafeEqual(entry.digest, Buffer.from(sha256, 'hex'))) {
      return undefined;
    }
    // Copied: a header value is a slice that would keep its whole request in memory.
    if (this.found.size < MAX_FOUND) this.found.set(Buffer.from(key).toString(), entry);
    return entry;
  }
}
