import type { Inference } from '../../../lib/spec';

// Decides when requests are batched; pure functions.

/**
 * Are requests of this model batched? The author must declare rows independent, since the router
 * does not see the graph. Non-idempotent requests are sent alone: a failed batch is sent again.
 */
export const areJoined = ({ batching, idempotent }: Inference): boolean =>
  batching?.rowsIndependent === true && idempotent;

/** State of an arm whose batched calls failed. */
export interface Fruitless {
  /** Version that failed; another version starts anew. */
  readonly version: string;
  /** Consecutive batched calls that the server rejected. */
  readonly refused: number;
  /** Until when its requests are sent alone, milliseconds since the epoch. */
  readonly until: number;
}

/** One bad request fails a batch; this many consecutive failures point to the server. */
export const REFUSED_MOST = 3;
/** Pause of batching: the first, doubled up to the longest. */
const FIRST_ALONE_MS = 1_000;
const LONGEST_ALONE_MS = 600_000;

/** A batched call was rejected, and its requests were sent one by one. */
export function afterRefused(
  before: Fruitless | undefined,
  version: string,
  now: number,
): Fruitless {
  const refused = (before?.version === version ? before.refused : 0) + 1;
  if (refused < REFUSED_MOST) return { version, refused, until: 0 };
  const alone = Math.min(LONGEST_ALONE_MS, FIRST_ALONE_MS * 2 ** (refused - REFUSED_MOST));
  return { version, refused, until: now + alone };
}

/** The answer has another number of rows: the graph does not work row by row. */
export function afterUnsplit(version: string): Fruitless {
  return { version, refused: 0, until: Infinity };
}

/** A request got another answer in a batch than alone: the rows are not independent. */
export const afterDifferent = afterUnsplit;

/** Comparisons of an arm's batched calls with single calls. */
export interface Compared {
  readonly version: string;
  /** Batched calls, and those compared that had different rows. */
  readonly calls: number;
  readonly proofs: number;
}

/** The first batched calls with different rows are compared with single calls. */
const COMPARED_FIRST = 8;
/** Afterwards one in this many is compared. */
const COMPARE_EVERY = 1_000;

/** Compare this batched call with single calls? Equal rows prove nothing and are not counted. */
export function isCompared(
  known: Compared | undefined,
  version: string,
  isDiffering: boolean,
  random: number,
): boolean {
  const { calls, proofs } = known?.version === version ? known : { calls: 0, proofs: 0 };
  const isFirst = calls < COMPARED_FIRST || (isDiffering && proofs < COMPARED_FIRST);
  return isFirst || random * COMPARE_EVERY < 1;
}

export function afterJoined(
  known: Compared | undefined,
  version: string,
  isProof: boolean,
): Compared {
  const { calls, proofs } = known?.version === version ? known : { calls: 0, proofs: 0 };
  return { version, calls: calls + 1, proofs: proofs + (isProof ? 1 : 0) };
}

/** Are requests for this version batched now? */
export function mayJoin(known: Fruitless | undefined, version: string, now: number): boolean {
  return known === undefined || known.version !== version || now >= known.until;
}

/**
 * Handling of a batched call's status. `apart`: one member may have caused it, so each is sent
 * alone. `shared`: every member gets this answer, since a repeat would double the load.
 */
export function meaningOf(status: number): 'split' | 'apart' | 'shared' {
  if (status >= 200 && status < 300) return 'split';
  const isOverload = status === 429 || status === 502 || status === 503 || status === 504;
  return status >= 400 && !isOverload ? 'apart' : 'shared';
}

/**
 * Requests of one class have about the same time left, so that callers that send a fresh deadline
 * each time are batched as well. Classes are half powers of two: 724 to 1024 ms is one, and the
 * next ends at 1448.
 */
export function timeClass(remainingMs: number): number {
  return Math.floor(2 * Math.log2(Math.max(1, remainingMs)));
}

/** Least milliseconds that a request of the class has. */
const leastMs = (group: number): number => 2 ** (group / 2);

/**
 * Longest wait of requests of a class for others. A call has the time of its earliest deadline: the
 * class's least (L) or more from the arrival of its first request; it begins L/4 later at most, so
 * that 0.75 L are left for it. No request had more than 1.42 L, so none loses more than half of its
 * time to the others.
 */
export function waitMs(maxDelayMs: number, group: number): number {
  return Math.min(maxDelayMs, leastMs(group) / 4);
}
