import type { Config } from '../app/config';
import { isLocalHost } from '../shared/origins';
import type { Log } from '../shared/log';
import type { IsTrustedProxy } from '../shared/trusted-proxies';
import { callerAddress } from '../shared/trusted-proxies';
import type { CountedResult } from './auth-counts';
import { AuthCounts } from './auth-counts';
import { ClientCertificates } from './client-certs';
import { shownBy } from './credentials';
import type { FailureClock } from './failed-attempts';
import { FailedAttempts } from './failed-attempts';
import type { FetchJson } from './json-fetch';
import type { BrokenKeysFile, KeysFile, ReloadCounts } from './key-store';
import { KeyStore } from './key-store';
import type { NewKey } from './keys';
import { KeyRing, newKey } from './keys';
import type { AuthRequest, AuthResult, Authenticate, Caller, Quotas } from './port';
import { ANYONE_NAME, refused } from './port';
import type { LimitedCounts } from './quotas';
import { CallerQuotas } from './quotas';
import type { TokenIssuer } from './token-issuer';
import { createTokenIssuer } from './token-issuer';
import { isToken } from './tokens';

type AuthConfig = Pick<Config['auth'], 'mode' | 'keys'> &
  Partial<Pick<Config['auth'], 'jwt' | 'clientCerts'>>;

export interface AuthenticateOptions {
  /** Does the public port listen on this machine only? */
  readonly loopback: boolean;
  /** Makes the key of a service that would be open to the network; for tests. */
  readonly generateKey?: () => NewKey;
  readonly keysFile?: KeysFile | undefined;
  readonly clock?: AuthClock | undefined;
  readonly log?: Pick<Log, 'info' | 'warn' | 'error'>;
  /** Whose X-Forwarded-For tells where a failed attempt comes from; absent: no proxy's. */
  readonly trust?: IsTrustedProxy | undefined;
  readonly fetchJson?: FetchJson | undefined;
}

export interface AuthClock extends FailureClock {
  readonly setTimeout: (work: () => void, ms: number) => () => void;
}

/** Numbers for the metrics. */
export interface AuthNumbers {
  readonly results: readonly CountedResult[];
  readonly keys: number;
  readonly reloads: ReloadCounts;
  /** Is the newest version of the file of keys not in force? */
  readonly isKeysFileFaulty: boolean;
  readonly limited: LimitedCounts;
  /** Fetches of the issuer's keys. */
  readonly jwksFetches: ReloadCounts;
}

export interface Authentication {
  /** Tells who sent a request, and counts it; answers to guesses come late. */
  readonly authenticate: Authenticate;
  /** The same for a request that is authenticated, and counted, again. */
  readonly recognize: Authenticate;
  readonly quotas: Quotas;
  /** The header by which `recognize` knows a caller that showed a certificate to another port. */
  readonly handOver: (request: Pick<AuthRequest, 'certificate'>) => string | undefined;
  /** Generated because no key was configured; to be shown once at start. */
  readonly generatedKey?: string;
  /** Reads the file of keys and the keys of the issuer, and follows both. @throws KeysFileError */
  readonly open: () => Promise<void>;
  /** Reads again what may have changed; never rejects. */
  readonly reload: () => Promise<void>;
  /** Files that are not in force because they have faults. */
  readonly brokenFiles: () => readonly BrokenKeysFile[];
  readonly numbers: () => AuthNumbers;
  readonly close: () => void;
}

const ANYONE: Caller = { name: ANYONE_NAME, scopes: ['admin'] };
const OPEN: AuthResult = { ok: true, caller: ANYONE };

function isLocal(header: string | undefined): boolean {
  return header === undefined || isLocalHost(header.replace(/^https?:\/\//i, ''));
}

const NOT_LOCAL = refused(
  'FORBIDDEN',
  'without keys this service answers to localhost only; configure auth.keys (or auth.mode: none)',
  'not_local',
);

/**
 * Open to this machine, but not to web pages of others that its browser shows: neither by a name
 * that points here (DNS rebinding, `Host`) nor from their own site (`Origin`). A page of another
 * local server may read; what it may not change is decided by `crossOrigin`, with and without keys.
 */
const openOnLoopback: Authenticate = ({ fields }) =>
  isLocal(fields.get('host')) && isLocal(fields.get('origin')) ? OPEN : NOT_LOCAL;

const missing = (what: string): AuthResult => refused('UNAUTHENTICATED', what, 'missing');
const NO_KEY = missing('no key was given; send X-API-Key: <key> or Authorization: Bearer <key>');
const NO_TOKEN = missing('no token was given; send Authorization: Bearer <token>');
const NOTHING = missing(
  'no key and no token was given; send X-API-Key: <key> or Authorization: Bearer <key or token>',
);

const byKey =
  (ring: KeyRing): Authenticate =>
  ({ fields }) => {
    const { key, bearer = key } = shownBy(fields);
    return bearer === undefined ? NO_KEY : ring.resultOf(bearer);
  };

const byToken =
  ({ tokens }: TokenIssuer): Authenticate =>
  ({ fields }) => {
    const { bearer } = shownBy(fields);
    return bearer === undefined ? NO_TOKEN : tokens.resultOf(bearer);
  };

const byEither =
  (ring: KeyRing, { tokens }: TokenIssuer): Authenticate =>
  ({ fields }) => {
    const { key, bearer } = shownBy(fields);
    if (key !== undefined) return ring.resultOf(key);
    if (bearer === undefined) return NOTHING;
    return isToken(bearer) ? tokens.resultOf(bearer) : ring.resultOf(bearer);
  };

/** A certificate counts where the request shows nothing else. */
const orByCertificate =
  (certificates: ClientCertificates, recognize: Authenticate): Authenticate =>
  (request) => {
    const { key, bearer } = shownBy(request.fields);
    const isOther = key !== undefined || bearer !== undefined;
    return (isOther ? undefined : certificates.resultOf(request)) ?? recognize(request);
  };

interface Recognizer {
  readonly recognize: Authenticate;
  readonly configured: Config['auth']['keys'];
  readonly generatedKey?: string;
}

/**
 * Open only on loopback or with an explicit `mode: none`; with nothing configured a random admin
 * key is generated, so that a service on a network is never open by accident.
 */
function recognizerOf(
  { mode, keys, clientCerts = [] }: AuthConfig,
  ring: KeyRing,
  issuer: TokenIssuer | undefined,
  { loopback, keysFile, generateKey = newKey }: AuthenticateOptions,
): Recognizer {
  if (mode === 'none') return { recognize: () => OPEN, configured: [] };
  const hasKeys = mode !== 'jwt' && (keys.length > 0 || keysFile !== undefined);
  if (issuer !== undefined && mode !== 'api_key') {
    const isBoth = mode === 'both' || hasKeys;
    const recognize = isBoth ? byEither(ring, issuer) : byToken(issuer);
    return { recognize, configured: isBoth ? keys : [] };
  }
  if (hasKeys || clientCerts.length > 0) return { recognize: byKey(ring), configured: keys };
  if (mode === undefined && loopback) return { recognize: openOnLoopback, configured: [] };
  const { key, sha256 } = generateKey();
  const admin = { name: 'generated', sha256, scopes: ['admin' as const] };
  return { recognize: byKey(ring), configured: [admin], generatedKey: key };
}

const QUIET: Pick<Log, 'info' | 'warn' | 'error'> = {
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
const SYSTEM_CLOCK: AuthClock = {
  now: Date.now,
  setTimeout: (work, ms) => {
    const timer = setTimeout(work, ms).unref();
    return () => clearTimeout(timer);
  },
};

/** Counts each result, and delays the answers to guesses. */
function guarded(
  recognize: Authenticate,
  counts: AuthCounts,
  failures: FailedAttempts,
  trust: IsTrustedProxy,
): Authenticate {
  return (request) => {
    const settle = (result: AuthResult): AuthResult | Promise<AuthResult> => {
      counts.add(result);
      return result.ok ? result : failures.slow(callerAddress(trust, request), result);
    };
    const result = recognize(request);
    return result instanceof Promise ? result.then(settle) : settle(result);
  };
}

export function createAuthenticate(auth: AuthConfig, options: AuthenticateOptions): Authentication {
  const { clock = SYSTEM_CLOCK, log = QUIET, trust = () => false, fetchJson } = options;
  const ring = new KeyRing(clock.now);
  const { mode, jwt } = auth;
  const issuer =
    jwt === undefined || mode === 'none' || mode === 'api_key'
      ? undefined
      : createTokenIssuer(jwt, { clock, log, fetchJson });
  const { configured, generatedKey, ...own } = recognizerOf(auth, ring, issuer, options);
  const { clientCerts = [] } = auth;
  const certificates = new ClientCertificates(clientCerts, clock.now);
  const hasCertificates = clientCerts.length > 0 && mode !== 'none';
  const recognize = hasCertificates ? orByCertificate(certificates, own.recognize) : own.recognize;
  const keysFile = mode === 'none' || mode === 'jwt' ? undefined : options.keysFile;
  const store = new KeyStore({ ring, configured, keysFile, log });
  const counts = new AuthCounts();
  const quotas = new CallerQuotas(clock.now);
  return {
    authenticate: guarded(recognize, counts, new FailedAttempts(clock), trust),
    recognize,
    quotas,
    handOver: (request) => (hasCertificates ? certificates.handOver(request) : undefined),
    ...(generatedKey !== undefined && { generatedKey }),
    open: async () => {
      await store.open();
      await issuer?.open();
    },
    reload: async () => {
      await Promise.all([store.reload(), issuer?.refresh()]);
    },
    brokenFiles: () => store.broken(),
    numbers: () => ({
      results: counts.results(),
      keys: ring.size,
      reloads: store.counts(),
      isKeysFileFaulty: store.broken().length > 0,
      limited: quotas.counts(),
      jwksFetches: issuer?.fetches() ?? { success: 0, error: 0 },
    }),
    close: () => {
      store.close();
      issuer?.close();
    },
  };
}
