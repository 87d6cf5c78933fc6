import type { Express } from 'express';
import { createApp } from './app';
import { CALLS } from './calls';
import type { Context } from './context';
import { docsPages } from './docs';
import { createEventLoop } from './eventloop';
import { isReady } from './healthview';
import { createLocks } from './locks';
import { createOpsApp, metricsPage } from './ops';
import type { ControlOptions } from './ports';
import { createTicker } from './tick';
import { createWorld } from './world';

/** The control plane. It owns no socket and no timer: whoever composes the service listens and ticks. */
export interface Control {
  /** Management API, /health, /metrics, /openapi.json, /docs: everything public that is not inference. */
  readonly app: Express;
  /** /live, /ready, /metrics, /internal/load: for the ops port; needs no key. */
  readonly opsApp: Express;
  /** Begins to watch the cluster; the routing table follows it from here on. */
  readonly start: () => void;
  /** Ends watching. The table stays as it is. */
  readonly stop: () => void;
  /** Moves on what goes on by itself (promotions, removals, gauges); to be called every second. */
  readonly tick: () => Promise<void>;
  /** Resolves when the cluster has been read for the first time. */
  readonly whenSynced: () => Promise<void>;
  /** May requests be sent here? What /health/ready says. */
  readonly isReady: () => boolean;
  /** Not ready from here on; requests are still answered. */
  readonly beginShutdown: () => void;
}

export function createControl(options: ControlOptions): Control {
  const { cluster, table, load, metrics, clock, routers = () => 1, onTableSwap } = options;
  let shuttingDown = false;
  const lag = options.eventLoop ?? createEventLoop();
  const world = createWorld({
    cluster,
    table,
    routers,
    onSwap: (swapped) => {
      // Here and not with the next tick: a new model's first request is counted already.
      const snapshot = world.snapshot();
      const lagSeconds = lag.lastMs() / 1000;
      metrics.observe({ snapshot, table: swapped, load, now: clock.now(), lagSeconds });
      onTableSwap?.(swapped);
    },
  });
  const context: Context = {
    ...options,
    world,
    locks: createLocks(),
    removing: new Set(),
    lag,
    startedAt: clock.now(),
    shuttingDown: () => shuttingDown,
  };
  const { tick } = createTicker(context);
  return {
    app: createApp(context, CALLS, [...docsPages(context), metricsPage(context, 'read')]),
    opsApp: createOpsApp(context),
    start: world.start,
    stop: () => {
      world.stop();
      lag.stop();
    },
    tick,
    whenSynced: world.whenSynced,
    isReady: () => isReady(context),
    beginShutdown: () => {
      shuttingDown = true;
    },
  };
}
