import { MANAGER } from '../../../../lib/objects';
import type { Peer } from '../../../core/lifecycle/peers';
import type { KubeApi, KubeObject } from '../client/api';
import { createApiserverHealth } from '../client/apiserver-health';
import { RESOURCES } from '../client/resources';
import type { Timing } from '../client/timing';
import type { WatchLoop } from '../client/watch-loop';
import { lastContactAt, objectsIn, startWatchLoop } from '../client/watch-loop';

/** Selects the pods of the service. */
const OWN_PODS = `app=${MANAGER}`;

/** The fields of a pod that are read. */
interface PodView {
  readonly spec?: {
    readonly containers?: readonly {
      readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
    }[];
  };
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly { readonly state?: { readonly running?: object } }[];
  };
}

function opsPortOf({ spec }: PodView): number | undefined {
  const ports = spec?.containers?.flatMap((one) => one.ports ?? []) ?? [];
  return ports.find(({ name }) => name === 'ops')?.containerPort;
}

/** A pod in a crash loop or without an address has no requests. */
function isUp({ status }: PodView, isReady: boolean): boolean {
  const runs = status?.containerStatuses?.some(({ state }) => state?.running !== undefined);
  return status?.phase === 'Running' && (isReady || runs === true);
}

function peerOf(pod: KubeObject, port: number): readonly Peer[] {
  const view = pod as PodView;
  const { metadata } = pod;
  const host = view.status?.podIP;
  const conditions = view.status?.conditions ?? [];
  const isReady = conditions.some((one) => one.type === 'Ready' && one.status === 'True');
  if (host === undefined || host === '' || !isUp(view, isReady)) return [];
  // A terminating router takes no new requests and finishes those it has.
  const ready = isReady && metadata.deletionTimestamp === undefined;
  return [{ id: metadata.name, host, port: opsPortOf(view) ?? port, ready }];
}

/** The other routers among the pods. `port`: their ops port where a pod does not name it. */
export function peersIn(pods: Iterable<KubeObject>, self: string, port: number): readonly Peer[] {
  return [...pods]
    .filter(({ metadata }) => metadata.name !== self)
    .flatMap((pod) => peerOf(pod, port));
}

export interface RouterWatchOptions {
  readonly api: Pick<KubeApi, 'list' | 'watch' | 'alive'>;
  /** Of the service itself. */
  readonly namespace: string;
  /** Name of this pod. */
  readonly self: string;
  readonly port: number;
  readonly timing: Timing;
  /** Called after every change of the peers. */
  readonly onChange: () => void;
}

export interface RouterWatch {
  /** Undefined until the first list. */
  readonly peers: () => readonly Peer[] | undefined;
  readonly phase: () => 'empty' | 'listing' | 'synced' | 'stale';
  /** Time of the last message from the server, milliseconds since the epoch. */
  readonly heardAt: () => number | undefined;
  readonly stop: () => void;
}

/** Watches the service's own pods to find the other routers. */
export function watchRouters(options: RouterWatchOptions): RouterWatch {
  const { api, namespace, self, port, timing, onChange } = options;
  let peers: readonly Peer[] | undefined;
  const loop: WatchLoop = startWatchLoop({
    api,
    resource: RESOURCES.Pod,
    namespace,
    labelSelector: OWN_PODS,
    timing,
    checkApiserver: createApiserverHealth(api, timing),
    onChange: (state) => {
      if (state.phase !== 'synced' && state.phase !== 'stale') return;
      const next = peersIn(objectsIn(state).values(), self, port);
      if (peers !== undefined && JSON.stringify(next) === JSON.stringify(peers)) return;
      peers = next;
      onChange();
    },
  });
  return {
    peers: () => peers,
    phase: () => loop.state().phase,
    heardAt: () => lastContactAt(loop.state()),
    stop: loop.stop,
  };
}
