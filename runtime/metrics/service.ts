import { SERVICE_FAMILIES } from './families';
import { sample } from '../shared/sample';
import type { Observation } from './observation';
import { labelText } from './print';

type Key = keyof typeof SERVICE_FAMILIES;

/** Those that have labels. */
type Labelled = 'deployments' | 'watchAge' | 'authentications' | CountedBy;

/** Counters with one label. */
type CountedBy = 'memoryRefused' | 'keyReloads' | 'jwksFetches' | 'limited';

/** How callers are recognized. */
export interface AuthCounters {
  readonly results: readonly {
    readonly credential: string;
    readonly result: string;
    readonly count: number;
  }[];
  readonly keys: number;
  readonly reloads: Readonly<Record<'success' | 'error', number>>;
  readonly isKeysFileFaulty: boolean;
  readonly limited: Readonly<Record<'rate' | 'concurrency', number>>;
  readonly jwksFetches: Readonly<Record<'success' | 'error', number>>;
}

/** The audit record in numbers; all 0 without one. */
export interface AuditCounts {
  readonly failing: number;
  readonly waitingLines: number;
  readonly droppedLines: number;
  readonly chainLines: number;
  readonly chainHead: number;
}

/** The certificate of the ports; all 0 without one. */
export interface TlsCounts {
  readonly notAfterSeconds: number;
  readonly faulty: number;
}

/** Counters of the servers. */
export interface EngineCounts {
  readonly heldBytes: number;
  readonly memoryRefused: Readonly<Record<'service' | 'caller', number>>;
  readonly connectionsRefused: number;
  readonly auth: AuthCounters;
  readonly audit: AuditCounts;
  readonly tls: TlsCounts;
  /** Spans of traces. */
  readonly spansDropped: number;
}

export const NO_COUNTS: EngineCounts = {
  heldBytes: 0,
  memoryRefused: { service: 0, caller: 0 },
  connectionsRefused: 0,
  auth: {
    results: [],
    keys: 0,
    reloads: { success: 0, error: 0 },
    isKeysFileFaulty: false,
    limited: { rate: 0, concurrency: 0 },
    jwksFetches: { success: 0, error: 0 },
  },
  audit: { failing: 0, waitingLines: 0, droppedLines: 0, chainLines: 0, chainHead: 0 },
  tls: { notAfterSeconds: 0, faulty: 0 },
  spansDropped: 0,
};

/** Observation and counters of one scrape. */
interface Scraped extends Observation {
  readonly engine: EngineCounts;
}

/** The families of the service that are one number. */
const VALUES: Readonly<Record<Exclude<Key, Labelled>, (seen: Scraped) => number>> = {
  heldBytes: ({ engine }) => engine.heldBytes,
  connectionsRefused: ({ engine }) => engine.connectionsRefused,
  keys: ({ engine }) => engine.auth.keys,
  keysFileFaulty: ({ engine }) => (engine.auth.isKeysFileFaulty ? 1 : 0),
  auditFailing: ({ engine }) => engine.audit.failing,
  auditWaiting: ({ engine }) => engine.audit.waitingLines,
  auditDropped: ({ engine }) => engine.audit.droppedLines,
  auditChainLines: ({ engine }) => engine.audit.chainLines,
  auditChainHead: ({ engine }) => engine.audit.chainHead,
  certificateNotAfter: ({ engine }) => engine.tls.notAfterSeconds,
  certificateFaulty: ({ engine }) => engine.tls.faulty,
  spansDropped: ({ engine }) => engine.spansDropped,
  leader: ({ isLeader }) => (isLeader ? 1 : 0),
  peers: ({ peers }) => peers,
  watchSynced: ({ snapshot }) => (snapshot.phase === 'synced' ? 1 : 0),
  models: ({ snapshot }) => snapshot.models.size,
  lag: ({ lagSeconds }) => lagSeconds,
};

/** A view that was never heard of has no age. */
function ageLines({ now, views }: Observation): string {
  const { name: family } = SERVICE_FAMILIES.watchAge;
  const lines = views.map(({ name, at }) => {
    const seconds = at === undefined ? undefined : Math.max(0, now - at) / 1000;
    return seconds === undefined ? '' : sample(family, labelText({ watch: name }), seconds);
  });
  return lines.join('');
}

const COUNTS: Readonly<
  Record<CountedBy, (engine: EngineCounts) => Readonly<Record<string, number>>>
> = {
  memoryRefused: ({ memoryRefused }) => memoryRefused,
  keyReloads: ({ auth }) => auth.reloads,
  jwksFetches: ({ auth }) => auth.jwksFetches,
  limited: ({ auth }) => auth.limited,
};

const isCounted = (key: Key): key is CountedBy => Object.hasOwn(COUNTS, key);

function countLines(key: CountedBy, { engine }: Scraped): string {
  const { name: family, labels } = SERVICE_FAMILIES[key];
  return Object.entries(COUNTS[key](engine))
    .map(([value, count]) => sample(family, labelText({ [labels[0]]: value }), count))
    .join('');
}

function authenticationLines({ engine }: Scraped): string {
  const { name: family } = SERVICE_FAMILIES.authentications;
  return engine.auth.results
    .map(({ count, ...labels }) => sample(family, labelText(labels), count))
    .join('');
}

/** All samples of one family of the service but `deployments`, which is counted. */
export function serviceLines(key: Exclude<Key, 'deployments'>, seen: Scraped): string {
  if (key === 'watchAge') return ageLines(seen);
  if (key === 'authentications') return authenticationLines(seen);
  if (isCounted(key)) return countLines(key, seen);
  return sample(SERVICE_FAMILIES[key].name, '', VALUES[key](seen));
}
