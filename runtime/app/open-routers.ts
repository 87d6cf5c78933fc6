import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { rendersZero } from '../../lib/objects/autoscaler';
import type { Environment } from '../../lib/spec';
import type { FrontProxyTrust } from './external-metrics-server';
import { listenForExternalMetrics } from './external-metrics-server';
import type { Elector } from '../cluster/elector';
import { startElector } from '../cluster/elector';
import { otherMetricsServer, readFrontProxy } from '../cluster/kubernetes/scale/aggregation-layer';
import type { KubeApi } from '../cluster/kubernetes/client/api';
import { openKubernetes } from '../cluster/kubernetes/client/client';
import { createLeaseStore } from '../cluster/kubernetes/routers/lease-store';
import type { RouterWatch } from '../cluster/kubernetes/routers/router-watch';
import { watchRouters } from '../cluster/kubernetes/routers/router-watch';
import type { Timing } from '../cluster/kubernetes/client/timing';
import { realTiming } from '../cluster/kubernetes/client/timing';
import { probeScaleToZero } from '../cluster/kubernetes/scale/scale-to-zero';
import type { Config } from './config';
import type { Control, Routers } from '../control';
import { ALONE } from '../control';
import type { Peers } from '../control/peers';
import { createPeers } from '../control/peers';
import type { Listener } from '../shared/listen';
import type { Log } from '../shared/log';
import type { ClusterSettings } from './open-cluster';
import { kubeconfigOf, serviceNamespaceOf, namespaceOf } from './open-cluster';
import { hostOf } from './config-mapping';

/** Default ops port of the other routers. */
const OPS_PORT = 9090;
/** How long a start waits for the list of routers; then it serves as if it were the only one. */
const SYNC_MS = 10_000;
/** Retry interval of `detectScaleToZero`, milliseconds. */
const ASK_AGAIN_MS = 30_000;

/** The routers as the composition root has them. */
export interface OpenRouters {
  readonly routers: Routers;
  /** The port for autoscalers, when configured; never fails: inference continues without it. */
  readonly openMetrics: (control: Pick<Control, 'externalMetrics'>) => Promise<readonly Listener[]>;
  /** Resolves when the routers are settled. */
  readonly ready: () => Promise<void>;
  /** Gives the lead back; to be called when nothing is written any more. */
  readonly close: () => Promise<void>;
}

export interface KubernetesRoutersOptions {
  readonly api: KubeApi;
  /** Of the service itself. */
  readonly namespace: string;
  /**
   * Of models: holds the Lease. Routers of the same models elect one leader among all of them, also
   * while the service moves from one namespace to another.
   */
  readonly modelNamespace: string;
  /** Name of this pod. */
  readonly self: string;
  readonly host: string;
  readonly opsPort: number | undefined;
  readonly externalMetrics: Config['kubernetes']['externalMetrics'];
  /** Do the autoscalers of the environment go down to 0? */
  readonly rendersZero: boolean;
  readonly timing: Timing;
  /** Milliseconds by a clock that never jumps. */
  readonly steady: () => number;
  readonly fetch: typeof globalThis.fetch;
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
}

/** Leaders are named by their pods. */
const nameOf = (holder: string | undefined): string | undefined => holder?.replace(/_[^_]*$/, '');

function createCount(watch: () => RouterWatch): Pick<Routers, 'count' | 'onCount'> & {
  readonly check: () => void;
} {
  const listeners = new Set<() => void>();
  let last = 1;
  return {
    count: () => last,
    onCount: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    check: () => {
      const now = 1 + (watch().peers() ?? []).filter(({ ready }) => ready).length;
      if (now === last) return;
      last = now;
      for (const listener of listeners) listener();
    },
  };
}

/** Asks whether autoscalers may scale to 0; if so, they put arms to sleep, not the service. */
function detectScaleToZero(options: KubernetesRoutersOptions): {
  readonly putsToSleep: () => boolean;
  readonly stop: () => void;
} {
  const { api, modelNamespace, rendersZero: byRender, timing, log } = options;
  // Until the answer is known no arm sleeps; autoscalers with a minimum of 1 leave it to us.
  let own = !byRender;
  let cancel = (): void => undefined;
  let stopped = false;
  const ask = async (): Promise<void> => {
    const answer = await probeScaleToZero(api, modelNamespace);
    if (stopped) return;
    if (answer === 'no answer') cancel = timing.after(() => void ask(), ASK_AGAIN_MS);
    else {
      own = !byRender || answer === 'refused';
      log.info('scale to zero', { minReplicas0: answer, by: own ? 'service' : 'autoscalers' });
    }
  };
  void ask();
  return {
    putsToSleep: () => own,
    stop: () => {
      stopped = true;
      cancel();
    },
  };
}

async function openMetrics(
  { api, namespace, host, externalMetrics, timing, log }: KubernetesRoutersOptions,
  { externalMetrics: handle }: Pick<Control, 'externalMetrics'>,
): Promise<readonly Listener[]> {
  if (externalMetrics === undefined) return [];
  try {
    const other = await otherMetricsServer(api, namespace);
    if (other !== undefined)
      throw new Error(
        `${other} serves them in this cluster, and only one can; remove its APIService`,
      );
    const trust = (): Promise<FrontProxyTrust> => readFrontProxy(api);
    const { after } = timing;
    const asked = { ...externalMetrics, host, trust, handle, after };
    return [
      await listenForExternalMetrics({ ...asked, warn: (text, fields) => log.warn(text, fields) }),
    ];
  } catch (error) {
    const message = 'external metrics are not served; inference goes on';
    log.error(message, { error: (error as Error).message });
    return [];
  }
}

/** Routers that are pods of one Deployment. */
export function startRouters(options: KubernetesRoutersOptions): OpenRouters {
  const { api, namespace, modelNamespace, self, timing, steady, log, opsPort = OPS_PORT } = options;
  const counting = createCount(() => watch);
  const watch = watchRouters({
    api,
    namespace,
    self,
    port: opsPort,
    timing,
    onChange: () => queueMicrotask(counting.check),
  });
  const peers: Peers = createPeers({ ...options, ...timing, peers: watch.peers });
  const elector: Elector = startElector({
    store: createLeaseStore(api, modelNamespace),
    // A restarted container of the same pod is another candidate.
    identity: `${self}_${randomUUID()}`,
    timing: { ...timing, now: steady },
    wall: timing.now,
    log: (message, fields) =>
      fields.error === undefined ? log.info(message) : log.warn(message, fields),
  });
  const zero = detectScaleToZero(options);
  const end = timing.now() + SYNC_MS;
  const isSettled = (): boolean => watch.peers() !== undefined || timing.now() >= end;
  const routers: Routers = {
    self,
    isLeader: elector.isLeader,
    leader: () => nameOf(elector.leader()),
    count: counting.count,
    onCount: counting.onCount,
    others: peers.heard,
    isSettled,
    view: () => ({ name: 'routers', phase: watch.phase(), at: watch.heardAt() }),
    putsToSleep: zero.putsToSleep,
  };
  return {
    routers,
    openMetrics: (control) => openMetrics(options, control),
    ready: () => settled(options, watch, isSettled),
    close: async () => {
      zero.stop();
      peers.stop();
      watch.stop();
      await elector.stop();
      api.close();
    },
  };
}

const LOOK_MS = 50;

async function settled(
  { timing, log }: KubernetesRoutersOptions,
  watch: RouterWatch,
  isSettled: () => boolean,
): Promise<void> {
  while (!isSettled()) await new Promise<void>((resolve) => void timing.after(resolve, LOOK_MS));
  if (watch.peers() === undefined)
    log.warn('the other routers are not known yet; capacity is not shared until they are');
}

/** Routers of a single local process. */
const SINGLE_ROUTER: OpenRouters = {
  routers: ALONE,
  openMetrics: async () => [],
  ready: async () => undefined,
  close: async () => undefined,
};

/**
 * Watches the other routers and joins leader election; a local service is the only router.
 * @throws KubeError `access` when the address of the API server is not configured
 */
export async function openRouters(
  place: Omit<ClusterSettings, 'spawnServer'>,
  environment: Environment,
): Promise<OpenRouters> {
  const { config, env, log } = place;
  if (config.cluster !== 'kubernetes') return SINGLE_ROUTER;
  const { externalMetrics } = config.kubernetes;
  const kubernetes = await openKubernetes(kubeconfigOf(place));
  const { opsPort } = config.server;
  const modelNamespace = namespaceOf(place) ?? kubernetes.namespace ?? environment.namespace;
  if (opsPort === undefined)
    log.warn('server.ops_port is not set: other routers cannot read the load of this one');
  return startRouters({
    api: kubernetes.api,
    namespace: serviceNamespaceOf(place) ?? modelNamespace,
    modelNamespace,
    self: env['POD_NAME'] || hostname(),
    host: hostOf(config),
    opsPort,
    externalMetrics,
    rendersZero: rendersZero(environment),
    timing: realTiming,
    steady: () => performance.now(),
    fetch: globalThis.fetch,
    log,
  });
}
