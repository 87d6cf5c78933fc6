/** Decay constant of the mean cost, milliseconds. */
export const DECAY_MS = 10_000;
/** Assumed cost before the first measurement, milliseconds per item. */
export const UNKNOWN_COST_MS = 30;
/** A replica that joins or returns is warmed up: caches, compiled code, autotuning. */
export const RAMP_MS = 30_000;
/** The part of its share that it begins with. */
export const RAMP_FROM = 0.1;

/** Decay of samples and warm-up of new replicas. */
interface ScoreTuning {
  readonly decayMs: number;
  readonly rampMs: number;
  readonly rampFrom: number;
}

const SCORE_TUNING: ScoreTuning = { decayMs: DECAY_MS, rampMs: RAMP_MS, rampFrom: RAMP_FROM };

/** Milliseconds per item, and when that was measured (milliseconds since the epoch). */
export interface Cost {
  readonly ms: number;
  readonly at: number;
}

const decay = (from: number, to: number, decayMs: number): number =>
  Math.exp(-Math.max(0, to - from) / decayMs);

/** Peak-sensitive: a slower sample counts at once, a faster one pulls the mean with τ = 10 s. */
export function costAfter(cost: Cost, sampleMs: number, now: number, decayMs = DECAY_MS): Cost {
  if (sampleMs >= cost.ms) return { ms: sampleMs, at: now };
  const weight = decay(cost.at, now, decayMs);
  return { ms: cost.ms * weight + sampleMs * (1 - weight), at: now };
}

/** How many samples a mean remembers, about. */
const SAMPLES = 20;

/** A mean of many samples and how far they are from it on average. */
export interface Spread {
  readonly mean: number;
  readonly deviation: number;
}

/** Not peak-sensitive: one sample counts a twentieth (as the round trip time of TCP, RFC 6298). */
export function spreadAfter(spread: Spread | undefined, sample: number): Spread {
  if (spread === undefined) return { mean: sample, deviation: sample / 2 };
  const { mean, deviation } = spread;
  return {
    mean: mean + (sample - mean) / SAMPLES,
    deviation: deviation + (Math.abs(sample - mean) - deviation) / SAMPLES,
  };
}

/** About nine of ten samples are below the mean plus twice the deviation. */
export function upperBoundOf({ mean, deviation }: Spread): number {
  return mean + 2 * deviation;
}

/** Without samples the cost drifts to that of the siblings; otherwise it is never tried again. */
export function costAt(cost: Cost, siblingsMs: number, now: number, decayMs = DECAY_MS): number {
  return siblingsMs + (cost.ms - siblingsMs) * decay(cost.at, now, decayMs);
}

/** Inputs of the score of a replica. */
export interface ScoreInputs {
  readonly cost: Cost;
  readonly itemsInFlight: number;
  /** When the oldest request without a first byte was sent; undefined: none is. */
  readonly waitingSince: number | undefined;
  /** Until when its fast failures count as work (`busyAfter`). */
  readonly busyUntil: number;
  /** When it joined or came back, milliseconds since the epoch. */
  readonly joinedAt: number;
}

/** From 0.1 at joining to 1 after 30 s. */
export function rampAt(
  joinedAt: number,
  now: number,
  rampMs = RAMP_MS,
  rampFrom = RAMP_FROM,
): number {
  const part = rampMs === 0 ? 1 : Math.min(1, Math.max(0, now - joinedAt) / rampMs);
  return rampFrom + (1 - rampFrom) * part;
}

/**
 * What one more request costs here: expected milliseconds × (items in flight + 1). A request that
 * waits for its first byte longer than expected is evidence before it is a sample: 50 ms expected,
 * 400 ms waited, then 400 counts. Lower is better.
 */
export function score(
  one: ScoreInputs,
  siblingsMs: number,
  now: number,
  { decayMs, rampMs, rampFrom }: ScoreTuning = SCORE_TUNING,
): number {
  const waited = one.waitingSince === undefined ? 0 : now - one.waitingSince;
  const expected = Math.max(costAt(one.cost, siblingsMs, now, decayMs), waited);
  const failed = siblingsMs > 0 ? Math.max(0, one.busyUntil - now) / siblingsMs : 0;
  return (
    (expected * (one.itemsInFlight + failed + 1)) / rampAt(one.joinedAt, now, rampMs, rampFrom)
  );
}

/**
 * A replica that fails at once is never busy and would attract all requests. So each failure counts
 * as work for as long as an answer would have taken: 1 ms instead of 20 keeps it busy for 19 more.
 */
export function busyAfter(
  busyUntil: number,
  tookMs: number,
  siblingsMs: number,
  now: number,
): number {
  return Math.max(busyUntil, now) + Math.max(0, siblingsMs - tookMs);
}

/**
 * Power of two random choices (Mitzenmacher 2001): two different ones at random, the cheaper wins.
 * Almost as even as comparing all, without a herd on the replica that looks best at the moment.
 */
export function pickTwo<T>(
  all: readonly T[],
  costOf: (one: T) => number,
  random: () => number,
): T | undefined {
  if (all.length < 2) return all[0];
  const first = Math.min(all.length - 1, Math.floor(random() * all.length));
  const step = 1 + Math.min(all.length - 2, Math.floor(random() * (all.length - 1)));
  const a = all[first] as T;
  const b = all[(first + step) % all.length] as T;
  return costOf(b) < costOf(a) ? b : a;
}
