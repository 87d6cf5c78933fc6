import { MAX_HEAD_BYTES } from '../fields';

/** Limits on the time and memory that one caller may use. */
export interface CallerLimits {
  /** A head that does not come in this time is not coming. */
  readonly headMs: number;
  /** Longer than clients and load balancers keep idle connections, so that they close first. */
  readonly keepAliveMs: number;
  readonly maxHeadBytes: number;
  /** Between two pieces of a body, and for each 64 KiB of it; milliseconds. */
  readonly bodyMs: number;
  /** A caller that takes nothing of its answer for so long has gone; milliseconds. */
  readonly stallMs: number;
}

export const DEFAULT_CALLER_LIMITS: CallerLimits = {
  headMs: 10_000,
  keepAliveMs: 75_000,
  maxHeadBytes: MAX_HEAD_BYTES,
  bodyMs: 30_000,
  stallMs: 30_000,
};
