import type { RequestListener } from 'node:http';
import type { Express } from 'express';
import { messageOf } from '../core/lifecycle/fault';
import type { RouterLoad } from '../core/lifecycle/peers';
import { loadOf } from '../core/lifecycle/peers';
import { createApp } from './http-app';
import { CALLS } from './calls';
import type { ControlContext } from './context';
import { docsPages } from './docs';
import { createExternalMetrics } from './external-metrics';
import { isReady } from './health-view';
import { createTimedLevel } from './timed-level';
import { HealthHistory } from './health-history';
import { observe } from './observe';
import { createOpsApp, metricsPage } from './ops-app';
import type { ControlOptions } from './ports';
import { ALONE } from './ports';
import { PromotionProgress } from './promotion-progress';
import { createKeyedQueue } from '../shared/keyed-queue';
import { createIdleSleep } from './idle-sleep';
import { createTicker } from './ticker';
import type { RolloutDecisions } from './rollout-decisions';
import { createRolloutDecisions } from './rollout-decisions';
import { createRoutingView } from './routing-view';

/** The control plane. It owns no socket and no timer: app/service.ts listens and ticks. */
export interface Control {
  /**
   * Management API, /health, /metrics, /openapi.json, /docs: everything public except inference.
   */
  readonly app: Express;
  /** /live, /ready, /metrics, /internal/load: for the ops port; needs no key. */
  readonly opsApp: Express;
  /** Begins to watch the cluster; from then on the routing table follows it. */
  readonly start: () => void;
  /** Ends watching. The table stays as it is. */
  readonly stop: () => void;
  /** Advances promotions, removals and sleep; to be called every second. */
  readonly tick: () => Promise<void>;
  /** To be called when requests of an arm are held: wakes the arm. */
  readonly onHeld: (model: string, arm: string) => void;
  /** external.metrics.k8s.io; its own port authenticates the callers. */
  readonly externalMetrics: RequestListener;
  /** Resolves when the cluster has been read for the first time. */
  readonly whenSynced: () => Promise<void>;
  /** Reports not ready from then on; requests are still answered. */
  readonly beginShutdown: () => void;
  /** Whether requests may be sent here; independent of models. */
  readonly isReady: () => boolean;
}

function tellFault({ log }: ControlOptions): (error: unknown, model?: string) => void {
  return (error, model) =>
    log.error('a change of the cluster could not be processed', {
      ...(model !== undefined && { model }),
      error: messageOf(error),
    });
}

function ownLoadOf(
  { load, clock, table, routers = ALONE }: ControlOptions,
  decisions: RolloutDecisions,
  startedAt: number,
): RouterLoad {
  return loadOf(routers.self, { at: clock.now(), startedAt }, load.arms(), table.current, {
    rollouts: load.rollouts(),
    decisions: decisions.pending(),
  });
}

export function createControl(options: ControlOptions): Control {
  const { clock, routers = ALONE, onTableSwap } = options;
  let shuttingDown = false;
  const startedAt = clock.now();
  const decisions = createRolloutDecisions();
  const routingView = createRoutingView({
    ...options,
    routers,
    now: clock.now,
    decided: decisions.shownIn,
    onFault: tellFault(options),
    onSwap: (swapped) => {
      // Now, not with the next tick: the first request of a new model is counted.
      observe(context);
      onTableSwap?.(swapped);
    },
  });
  const context: ControlContext = {
    ...options,
    routingView,
    routers,
    rolloutDecisions: decisions,
    ownLoad: () => ownLoadOf(options, decisions, startedAt),
    locks: createKeyedQueue(),
    removing: new Set(),
    healthHistory: new HealthHistory(),
    promotionProgress: new PromotionProgress(),
    logLevel: createTimedLevel(clock.now, options.logLevel),
    startedAt,
    shuttingDown: () => shuttingDown,
  };
  const sleeping = createIdleSleep(context);
  const ticker = createTicker(context, sleeping);
  return {
    app: createApp(context, CALLS, [...docsPages(context), metricsPage(context, 'read')]),
    opsApp: createOpsApp(context),
    start: routingView.start,
    stop: routingView.stop,
    tick: () => ticker.tick(),
    onHeld: sleeping.onHeld,
    externalMetrics: createExternalMetrics(context),
    whenSynced: routingView.whenSynced,
    beginShutdown: () => {
      shuttingDown = true;
    },
    isReady: () => isReady(context),
  };
}
