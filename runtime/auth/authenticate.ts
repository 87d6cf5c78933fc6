import type { Config } from '../app/config';
import { isLocalHost } from '../shared/origins';
import type { NewKey } from './keys';
import { KeyRing, newKey } from './keys';
import type { BrokenKeysFile, KeysFile, ReloadCounts } from './key-store';
import { KeyStore } from './key-store';
import type { CountedResult } from './auth-counts';
import { AuthCounts } from './auth-counts';
import type { AuthResult, Authenticate, Caller, HeaderFields } from './port';
import { ANYONE_NAME, refused } from './port';
import type { Log } from '../shared/log';

/** The key a request carries: `X-API-Key`, else `Authorization: Bearer`. */
function keyOf(headers: HeaderFields): string | undefined {
  const own = headers.get('x-api-key');
  if (own !== undefined && own !== '') return own;
  return /^Bearer +(\S+) *$/i.exec(headers.get('authorization') ?? '')?.[1];
}

const MISSING = refused(
  'UNAUTHENTICATED',
  'no key was given; send X-API-Key: <key> or Authorization: Bearer <key>',
  'missing',
);

const byKey =
  (ring: KeyRing): Authenticate =>
  ({ fields }) => {
    const key = keyOf(fields);
    return key === undefined ? MISSING : ring.resultOf(key);
  };

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

type AuthConfig = Pick<Config['auth'], 'mode' | 'keys'>;

export interface AuthenticateOptions {
  /** Does the public port listen on this machine only? */
  readonly loopback: boolean;
  /** Makes the key of a service that would be open to the network; for tests. */
  readonly generateKey?: () => NewKey;
  readonly keysFile?: KeysFile | undefined;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  readonly log?: Pick<Log, 'info' | 'error'>;
}

/** Numbers for the metrics. */
export interface AuthNumbers {
  readonly results: readonly CountedResult[];
  readonly keys: number;
  readonly reloads: ReloadCounts;
  /** Is the newest version of the file of keys not in force? */
  readonly isKeysFileFaulty: boolean;
}

export interface Authentication {
  /** Tells who sent a request, and counts it. */
  readonly authenticate: Authenticate;
  /** The same for a request that is authenticated, and counted, again. */
  readonly recognize: Authenticate;
  /** Generated because no key was configured; to be shown once at start. */
  readonly generatedKey?: string;
  /** Reads the file of keys and follows it. @throws KeysFileError */
  readonly open: () => Promise<void>;
  /** Reads again what may have changed; never rejects. */
  readonly reload: () => Promise<void>;
  /** Files that are not in force because they have faults. */
  readonly brokenFiles: () => readonly BrokenKeysFile[];
  readonly numbers: () => AuthNumbers;
  readonly close: () => void;
}

const QUIET: Pick<Log, 'info' | 'error'> = { info: () => undefined, error: () => undefined };

interface Recognizer {
  readonly recognize: Authenticate;
  readonly configured: Config['auth']['keys'];
  readonly generatedKey?: string;
}

/**
 * Open only on loopback or with an explicit `mode: none`; without any key a random admin key is
 * generated, so that a service on a network is never open by accident.
 */
function recognizerOf(
  { mode, keys }: AuthConfig,
  ring: KeyRing,
  { loopback, keysFile, generateKey = newKey }: AuthenticateOptions,
): Recognizer {
  if (mode === 'none') return { recognize: () => OPEN, configured: [] };
  if (keys.length > 0 || keysFile !== undefined) {
    return { recognize: byKey(ring), configured: keys };
  }
  if (mode === undefined && loopback) return { recognize: openOnLoopback, configured: [] };
  const { key, sha256 } = generateKey();
  const admin = { name: 'generated', sha256, scopes: ['admin' as const] };
  return { recognize: byKey(ring), configured: [admin], generatedKey: key };
}

export function createAuthenticate(auth: AuthConfig, options: AuthenticateOptions): Authentication {
  const { now = Date.now, log = QUIET } = options;
  const ring = new KeyRing(now);
  const { recognize, configured, generatedKey } = recognizerOf(auth, ring, options);
  const keysFile = auth.mode === 'none' ? undefined : options.keysFile;
  const store = new KeyStore({ ring, configured, keysFile, log });
  const counts = new AuthCounts();
  const counted = <R extends AuthResult>(result: R): R => {
    counts.add(result);
    return result;
  };
  return {
    authenticate: (request) => {
      const result = recognize(request);
      return result instanceof Promise ? result.then(counted) : counted(result);
    },
    recognize,
    ...(generatedKey !== undefined && { generatedKey }),
    open: () => store.open(),
    reload: () => store.reload(),
    brokenFiles: () => store.broken(),
    numbers: () => ({
      results: counts.results(),
      keys: ring.size,
      reloads: store.counts(),
      isKeysFileFaulty: store.broken().length > 0,
    }),
    close: () => store.close(),
  };
}
