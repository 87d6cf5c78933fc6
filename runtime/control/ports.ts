import type { Environment, ModelSpec } from '../../lib/spec';
import type { Audit } from '../audit';
import type { Authenticate } from '../auth';
import type { Cluster } from '../cluster/port';
import type { Config } from '../config';
import type { Load } from '../core/load';
import type { RoutingTable, TableHolder } from '../core/table';
import type { Metrics } from '../metrics';
import type { EventLoop } from './eventloop';

/** Where lines of the log go. Never a body, a header value or a key. */
export interface Log {
  readonly info: (message: string, fields?: Readonly<Record<string, unknown>>) => void;
  readonly warn: (message: string, fields?: Readonly<Record<string, unknown>>) => void;
  readonly error: (message: string, fields?: Readonly<Record<string, unknown>>) => void;
}

export interface Clock {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** What the control plane stands on. */
export interface ControlOptions {
  readonly cluster: Cluster;
  readonly table: TableHolder;
  readonly load: Load;
  readonly config: Pick<Config, 'server'>;
  readonly environment: Environment;
  readonly authenticate: Authenticate;
  readonly audit: Audit;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly log: Log;
  /** Version of the service. */
  readonly version: string;
  /** Told after every swap, in the same step. */
  readonly onTableSwap?: (table: RoutingTable) => void;
  /**
   * Puts the bytes of `file` sources into a definition, for a preview of its objects.
   * @throws DefinitionError when a file may not be read or is not there
   */
  readonly withArtifacts?: (spec: ModelSpec) => ModelSpec;
  /** How many routers share the replicas. */
  readonly routers?: () => number;
  /** Event-loop delay; measured when absent. */
  readonly eventLoop?: EventLoop;
  /** Folder with the files of the /docs page; from swagger-ui-dist when absent. */
  readonly docsAssets?: string;
}
