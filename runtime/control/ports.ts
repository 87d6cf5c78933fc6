import type { Environment, ModelSpec } from '../../lib/spec';
import type { Audit } from '../audit';
import type { Authenticate } from '../auth';
import type { Cluster, WatchPhase } from '../cluster/port';
import type { Config } from '../app/config';
import type { Load } from '../core/routing/load';
import type { PeerReport } from '../core/lifecycle/peers';
import type { PolicyRules } from '../core/policy/policy';
import type { RoutingTable, TableHolder } from '../core/routing/table';
import type { Metrics } from '../metrics';
import type { Log } from '../shared/log';
import type { LevelSwitch } from './timed-level';

/** A view that keeps itself current, and its age. */
export interface ViewAge {
  readonly name: string;
  readonly phase: WatchPhase;
  /** Time of the last contact, milliseconds since the epoch; undefined: never. */
  readonly at: number | undefined;
}

/**
 * The routers of a service are equal and share nothing but the cluster; one of them is the leader.
 */
export interface Routers {
  /** Name of this router. */
  readonly self: string;
  /** Is this router the leader? Checked before each write. */
  readonly isLeader: () => boolean;
  /** Name of the leader, if known. */
  readonly leader: () => string | undefined;
  /** Number of ready routers, this one included: they share the replicas. */
  readonly count: () => number;
  /** The other routers and their last reports; undefined: not known. */
  readonly others: () => readonly PeerReport[] | undefined;
  /** Are the other routers known (or timed out)? Until then capacity cannot be divided. */
  readonly isSettled: () => boolean;
  /** Called when `count` changes; the returned function unsubscribes. */
  readonly onCount: (listener: () => void) => () => void;
  /** The watch of the routers; undefined when this service has a single router. */
  readonly view: () => ViewAge | undefined;
  /** Whether the service puts idle arms to sleep; otherwise their autoscalers do. */
  readonly putsToSleep: () => boolean;
}

/** One router, which leads. */
export const ALONE: Routers = {
  self: 'local',
  isLeader: () => true,
  leader: () => 'local',
  count: () => 1,
  others: () => [],
  isSettled: () => true,
  onCount: () => () => undefined,
  view: () => undefined,
  putsToSleep: () => true,
};

/** A file with faults. `id`: the model that keeps serving its last good definition. */
export interface BrokenFile {
  readonly file: string;
  readonly message: string;
  readonly id?: string | undefined;
}

/** Dependencies of the control plane. */
export interface ControlOptions {
  readonly cluster: Cluster;
  readonly table: TableHolder;
  readonly load: Load;
  readonly config: Pick<Config, 'server'>;
  readonly environment: Environment;
  /** Allow-lists of the policy; absent: nothing but the model's own objects. */
  readonly policy?: PolicyRules;
  readonly authenticate: Authenticate;
  readonly audit: Audit;
  readonly metrics: Metrics;
  /** `now`: milliseconds since the epoch. */
  readonly clock: { readonly now: () => number };
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
  /** The level of the log; absent: it cannot be changed. */
  readonly logLevel?: LevelSwitch | undefined;
  /** Version of the service. */
  readonly version: string;
  /** Called synchronously after every swap. */
  readonly onTableSwap?: (table: RoutingTable) => void;
  /**
   * Puts the bytes of `file` sources into a definition, for a preview of its objects. Rejects with
   * a DefinitionError when a file is not allowed or missing.
   */
  readonly withArtifacts?: (spec: ModelSpec) => Promise<ModelSpec>;
  /** Files whose newest version has faults: definitions, keys. */
  readonly brokenFiles?: () => readonly BrokenFile[];
  /** The routers of this service; absent: it is the only one. */
  readonly routers?: Routers;
  /** Longest recent stall of the event loop, milliseconds. */
  readonly lagMs: () => number;
  /** Folder with the files of the /docs page; from swagger-ui-dist when absent. */
  readonly docsAssets?: string;
}
