import type { Server } from 'node:http';
import { parseEnvironment } from '../../lib/spec';
import { loadOfStats } from '../support/load';
import { createMemoryCluster } from '../support/memory-cluster';
import type { MemoryCluster, MemoryOptions } from '../support/memory-cluster';
import type { Cluster } from '../../runtime/cluster/port';
import { NO_AUDIT } from '../../runtime/audit';
import { parseConfig } from '../../runtime/app/config';
import type { Control, ControlOptions, Routers } from '../../runtime/control';
import { createControl } from '../../runtime/control';
import type { Peers } from '../../runtime/control/peers';
import { createPeers } from '../../runtime/control/peers';
import type { ArmStats } from '../../runtime/core/routing/load';
import type { Peer } from '../../runtime/core/lifecycle/peers';
import type { TableHolder } from '../../runtime/core/routing/table';
import { EMPTY_TABLE } from '../../runtime/core/routing/table';
import { createMetrics } from '../../runtime/metrics';
import { OPEN } from '../support/plane';
import { listen, T0 } from './support';

/** One router: its control plane, with a real ops port that the others ask. */
export interface Router {
  readonly name: string;
  readonly control: Control;
  readonly table: TableHolder;
  readonly stats: ArmStats[];
  readonly peers: Peers;
  readonly url: string;
  readonly opsUrl: string;
  readonly logged: string[];
  /** Does not answer any more, as one that hangs or is cut off. */
  readonly silence: () => void;
  readonly close: () => void;
}

/** Several routers on one cluster, with a clock that only tests move. */
export interface Fleet {
  readonly cluster: MemoryCluster;
  readonly clock: { at: number };
  readonly routers: readonly Router[];
  /** Who leads; '' nobody. */
  leader: string;
  /** Pods that are there and ready. */
  readonly pods: Set<string>;
  /** After a change of `pods`. */
  readonly podsChanged: () => void;
  /** Everybody asks everybody, then everybody ticks. */
  readonly second: (count?: number) => Promise<void>;
  readonly close: () => void;
}

export interface FleetOptions {
  readonly replicasOf?: MemoryOptions['replicasOf'];
  /** Lays something over the cluster of one router. */
  readonly wrap?: (cluster: MemoryCluster, name: string) => Cluster;
  readonly more?: (name: string) => Partial<ControlOptions>;
}

/** Tests say when peers are asked; each of them answers or refuses, however long that takes. */
const never = (): (() => void) => () => undefined;

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

export async function startFleet(
  names: readonly string[],
  options: FleetOptions = {},
): Promise<Fleet> {
  const clock = { at: T0 };
  const now = (): number => clock.at;
  const { replicasOf } = options;
  const cluster = createMemoryCluster({ now, ...(replicasOf && { replicasOf }) });
  const pods = new Set(names);
  const ports = new Map<string, number>();
  const listeners = new Set<() => void>();

  const peersOf = (self: string): readonly Peer[] =>
    [...pods]
      .filter((id) => id !== self)
      .map((id) => ({ id, host: '127.0.0.1', port: ports.get(id) ?? 0, ready: true }));

  const start = async (name: string): Promise<Router> => {
    const stats: ArmStats[] = [];
    const logged: string[] = [];
    const table: TableHolder = { current: EMPTY_TABLE };
    const peers = createPeers({ peers: () => peersOf(name), fetch, now, after: never });
    const routers: Routers = {
      self: name,
      isLeader: () => fleet.leader === name,
      leader: () => fleet.leader || undefined,
      count: () => pods.size,
      others: peers.heard,
      isSettled: () => true,
      onCount: (listener) => {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
      view: () => ({ name: 'routers', phase: 'synced', at: clock.at }),
      putsToSleep: () => true,
    };
    const log = (message: string, fields: object = {}): void =>
      void logged.push(`${message} ${JSON.stringify(fields)}`);
    const control = createControl({
      cluster: options.wrap?.(cluster, name) ?? cluster,
      table,
      load: loadOfStats(stats),
      config: parseConfig(''),
      environment: parseEnvironment({}),
      authenticate: OPEN,
      audit: NO_AUDIT,
      metrics: createMetrics(),
      clock: { now },
      log: { info: log, warn: log, error: log },
      version: 'test',
      lagMs: () => 0,
      routers,
      ...options.more?.(name),
    });
    control.start();
    const [server, url] = await listen(control.app);
    const [ops, opsUrl] = await listen(control.opsApp);
    ports.set(name, portOf(ops));
    const silence = (): void => {
      ops.close();
      ops.closeAllConnections();
    };
    const close = (): void => {
      control.stop();
      peers.stop();
      silence();
      server.close();
      server.closeAllConnections();
    };
    return { name, control, table, stats, peers, url, opsUrl, logged, silence, close };
  };

  const fleet: Fleet = {
    cluster,
    clock,
    leader: names[0] ?? '',
    pods,
    routers: [],
    podsChanged: () => listeners.forEach((listener) => listener()),
    second: async (count = 1) => {
      for (let done = 0; done < count; done += 1) {
        clock.at += 1000;
        await Promise.all(fleet.routers.map(({ peers }) => peers.ask()));
        await Promise.all(fleet.routers.map(({ control }) => control.tick()));
      }
    },
    close: () => fleet.routers.forEach((one) => one.close()),
  };
  return Object.assign(fleet, { routers: await Promise.all(names.map(start)) });
}
