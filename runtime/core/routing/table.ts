import type { Arm, Cohort, Compare, ModelSpec, Protocol } from '../../../lib/spec';

/** One address that may get requests of an arm. */
export interface ReplicaRoute {
  readonly id: string;
  readonly host: string;
  readonly port: number;
  /** `host:port`, made once. */
  readonly address: string;
  /** What this one runs: while an arm rolls, some of its replicas still run the version before. */
  readonly version: string;
  /** Terminating replicas serve only if nothing else can. */
  readonly terminating: boolean;
}

/** An arm as the data plane needs it. */
export interface ArmRoute {
  readonly name: string;
  readonly version: string;
  readonly protocol: Protocol;
  readonly server: Arm['server'];
  /** Ready ones first. */
  readonly replicas: readonly ReplicaRoute[];
  /** Requests in flight this router may give one replica. */
  readonly concurrencyPerReplica: number;
  /** Requests that may wait in this router. */
  readonly maxQueueDepth: number;
  /** How long a request may be held while no replica is up, milliseconds. */
  readonly holdMs: number;
}

/** A share of live traffic in hundredths of a percent; they sum to 10,000. */
export interface Share {
  readonly arm: string;
  readonly hundredths: number;
}

export interface ShadowRoute {
  readonly arm: string;
  readonly percent: number;
  readonly compare: Compare;
}

/** A rollout whose trials are counted. */
export interface RolloutRoute {
  readonly id: string;
  /** The arm that is rolled out; it is compared with the first of the shares. */
  readonly candidate: string;
  /** Probability that a caller of the two arms gets the candidate, 0 to 10,000. */
  readonly hundredths: number;
  /** `request`: the arm is drawn for each request, also for those of one caller. */
  readonly unit: 'caller' | 'request';
  /** Longest time until a trial counts, milliseconds. */
  readonly closeMs: number;
  /** First bytes later than this are slow, milliseconds; undefined: not known yet. */
  readonly thresholdMs: number | undefined;
}

/** Everything the data plane knows about a model. Immutable. */
export interface ModelRoute {
  readonly id: string;
  readonly slug: string;
  readonly inference: ModelSpec['inference'];
  readonly cohort: Cohort;
  /**
   * Salt of the cohort hash: of the rollout while there is one, else the id unless the definition
   * names another.
   */
  readonly salt: string;
  /** Scaled to zero on purpose: requests are refused, not held. */
  readonly stopped: boolean;
  /** No new requests; running ones finish. */
  readonly deleting: boolean;
  /** Stable first, then candidates with traffic in the author's order. */
  readonly shares: readonly Share[];
  readonly shadows: readonly ShadowRoute[];
  readonly rollout?: RolloutRoute | undefined;
  readonly arms: ReadonlyMap<string, ArmRoute>;
}

/** An immutable snapshot of all routes, swapped whole. */
export interface RoutingTable {
  readonly generation: number;
  readonly models: ReadonlyMap<string, ModelRoute>;
}

/** Holds the current table: control writes, data reads. */
export interface TableHolder {
  current: RoutingTable;
}

export const EMPTY_TABLE: RoutingTable = { generation: 0, models: new Map() };
