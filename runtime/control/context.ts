import type { RouterLoad } from '../core/lifecycle/peers';
import type { EventLoop } from './event-loop';
import type { Turns } from '../shared/keyed-queue';
import type { ControlOptions, Routers } from './ports';
import type { World } from './routing-view';

/** What calls and ticks work with. */
export interface Context extends ControlOptions {
  readonly world: World;
  readonly routers: Routers;
  /** What this router says of itself. */
  readonly ownLoad: () => RouterLoad;
  /** Changes of one model, one after the other. */
  readonly locks: Pick<Turns, 'run'>;
  /** Models this process is removing now, so that a tick does not begin one twice. */
  readonly removing: Set<string>;
  readonly lag: EventLoop;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** Since SIGTERM: requests are still answered, new ones should go elsewhere. */
  readonly shuttingDown: () => boolean;
}
