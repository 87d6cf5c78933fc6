import type { Snapshot } from '../core/lifecycle/snapshot';
import type { Load } from '../core/routing/load';
import type { RoutingTable } from '../core/routing/table';

/** The state that the gauges are computed from. */
export interface Observation {
  readonly snapshot: Snapshot;
  readonly table: RoutingTable;
  readonly load: Load;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** How long each promotion has made no progress, by model; seconds. */
  readonly promotions: ReadonlyMap<string, number>;
  /** Longest recent stall of the event loop, seconds. */
  readonly lagSeconds: number;
  /** Does this router lead? */
  readonly isLeader: boolean;
  /** Other routers that answer. */
  readonly peers: number;
  /** Every view of something that changes elsewhere; `at`: when it was last heard. */
  readonly views: readonly { readonly name: string; readonly at: number | undefined }[];
}
