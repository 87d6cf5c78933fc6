import type { RouterLoad } from '../core/lifecycle/peers';
import type { KeyedQueue } from '../shared/keyed-queue';
import type { HealthHistory } from './health-history';
import type { TimedLevel } from './timed-level';
import type { ControlOptions, Routers } from './ports';
import type { PromotionProgress } from './promotion-progress';
import type { RolloutDecisions } from './rollout-decisions';
import type { RoutingView } from './routing-view';

/** Shared by calls and ticks. */
export interface ControlContext extends Omit<ControlOptions, 'logLevel'> {
  readonly routingView: RoutingView;
  readonly routers: Routers;
  readonly rolloutDecisions: RolloutDecisions;
  /** Load report of this router. */
  readonly ownLoad: () => RouterLoad;
  /** Changes of one model, one after the other. */
  readonly locks: Pick<KeyedQueue, 'run'>;
  /** Models that this process is removing, so that a tick does not start a removal twice. */
  readonly removing: Set<string>;
  readonly logLevel: TimedLevel;
  readonly healthHistory: HealthHistory;
  readonly promotionProgress: PromotionProgress;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** Since SIGTERM: requests are still answered, new ones should go elsewhere. */
  readonly shuttingDown: () => boolean;
}

/** One kind of automatic work: starts what is due now. */
export type TickTask = () => readonly Promise<void>[];
