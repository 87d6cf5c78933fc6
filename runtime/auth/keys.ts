import { hash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Config } from '../app/config';
import type { Authenticate, AuthResult, Caller, HeaderFields, RequiredAccess } from './port';
import { isLocalHost } from '../shared/origins';
import { ANYONE_NAME, holds, mayUse } from './port';

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

type KeyConfig = Config['auth']['keys'][number];

interface Entry {
  readonly digest: Buffer;
  readonly caller: Caller;
}

function entryOf({ name, sha256, scopes, models }: KeyConfig): readonly [string, Entry] {
  const caller: Caller = { name, scopes, ...(models !== undefined && { models }) };
  return [sha256, { digest: Buffer.from(sha256, 'hex'), caller }];
}

/** The key a request carries: `X-API-Key`, else `Authorization: Bearer`. */
function keyOf(headers: HeaderFields): string | undefined {
  const own = headers.get('x-api-key');
  if (own !== undefined && own !== '') return own;
  return /^Bearer +(\S+) *$/i.exec(headers.get('authorization') ?? '')?.[1];
}

function refused(code: 'UNAUTHENTICATED' | 'FORBIDDEN', message: string): AuthResult {
  return { ok: false, code, message };
}

const MISSING = refused(
  'UNAUTHENTICATED',
  'no key was given; send X-API-Key: <key> or Authorization: Bearer <key>',
);
const UNKNOWN = refused(
  'UNAUTHENTICATED',
  'the key is not known here; check it, or ask the administrator for one',
);

/** What a known caller may do with regard to one need. */
export function authorize(caller: Caller, { scope, model }: RequiredAccess): AuthResult {
  if (!holds(caller, scope)) {
    const has = caller.scopes.join(', ');
    return refused(
      'FORBIDDEN',
      `this needs the scope ${scope}; the key of ${caller.name} has ${has}; use another key`,
    );
  }
  if (model !== undefined && !mayUse(caller, model)) {
    return refused('FORBIDDEN', `the key of ${caller.name} is not for model ${model}`);
  }
  return { ok: true, caller };
}

/** Most keys cached. */
const MAX_FOUND = 1000;

/**
 * Looks entries up by digest, so that timing reveals only digests of guesses, which an attacker
 * cannot choose. Valid keys are cached, since hashing is half the cost of authentication; guesses
 * are never kept.
 */
function byKey(keys: readonly KeyConfig[]): Authenticate {
  const entries = new Map(keys.map(entryOf));
  const found = new Map<string, Caller>();
  const callerOf = (key: string): Caller | undefined => {
    const known = found.get(key);
    if (known !== undefined) return known;
    const sha256 = hash('sha256', key);
    const entry = entries.get(sha256);
    if (entry === undefined || !timingSafeEqual(entry.digest, Buffer.from(sha256, 'hex'))) {
      return undefined;
    }
    // Copied: a header value is a slice that would keep its whole request in memory.
    if (found.size < MAX_FOUND) found.set(Buffer.from(key).toString(), entry.caller);
    return entry.caller;
  };
  return (headers, need) => {
    const key = keyOf(headers);
    if (key === undefined) return MISSING;
    if (key.length > MAX_KEY_CHARACTERS) return UNKNOWN;
    const caller = callerOf(key);
    return caller === undefined ? UNKNOWN : authorize(caller, need);
  };
}

const ANYONE: Caller = { name: ANYONE_NAME, scopes: ['admin'] };
const OPEN: AuthResult = { ok: true, caller: ANYONE };

function isLocal(header: string | undefined): boolean {
  return header === undefined || isLocalHost(header.replace(/^https?:\/\//i, ''));
}

/**
 * Open to this machine, but not to web pages of others that its browser shows: neither by a name
 * that points here (DNS rebinding, `Host`) nor from their own site (`Origin`). A page of another
 * local server may read; what it may not change is decided by `crossOrigin`, with and without keys.
 */
const openOnLoopback: Authenticate = (headers) =>
  isLocal(headers.get('host')) && isLocal(headers.get('origin'))
    ? OPEN
    : refused(
        'FORBIDDEN',
        'without keys this service answers to localhost only; configure auth.keys (or auth.mode: none)',
      );

export interface AuthenticateOptions {
  /** Does the public port listen on this machine only? */
  readonly loopback: boolean;
  /** Makes the key of a service that would be open to the network; for tests. */
  readonly generateKey?: () => NewKey;
}

export interface Authentication {
  readonly authenticate: Authenticate;
  /** Generated because no key was configured; to be shown once at start. */
  readonly generatedKey?: string;
}

/**
 * Open only on loopback or with an explicit `mode: none`; without any key a random admin key is
 * generated, so that a service on a network is never open by accident.
 */
export function createAuthenticate(
  { mode, keys }: Config['auth'],
  { loopback, generateKey = newKey }: AuthenticateOptions,
): Authentication {
  if (mode === 'none') return { authenticate: () => OPEN };
  if (keys.length > 0) return { authenticate: byKey(keys) };
  if (mode === undefined && loopback) return { authenticate: openOnLoopback };
  const { key, sha256 } = generateKey();
  const admin: KeyConfig = { name: 'generated', sha256, scopes: ['admin'] };
  return { authenticate: byKey([admin]), generatedKey: key };
}
