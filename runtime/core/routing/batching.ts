import type { Inference } from '../../../lib/spec';

// When requests go together, and when no more: pure, as all decisions.

/**
 * Do requests of a model go together? The router sees no graph, so the author must have said that
 * rows are independent. One that must not run twice goes alone: joined calls may be undone.
 */
export const areJoined = ({ batching, idempotent }: Inference): boolean =>
  batching?.rowsIndependent === true && idempotent;

/** What is remembered of an arm whose joined calls came to nothing. */
export interface Fruitless {
  /** What it ran then; another version may know better. */
  readonly version: string;
  /** Joined calls in a row that the server refused. */
  readonly refused: number;
  /** Until when its requests go alone, milliseconds since the epoch. */
  readonly until: number;
}

/** One bad request spoils a call; several calls in a row tell of the server. */
export const REFUSED_MOST = 3;
/** The first time alone, doubled up to the longest. */
const FIRST_ALONE_MS = 1_000;
const LONGEST_ALONE_MS = 600_000;

/** A joined call was refused: the requests were called one by one instead. */
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

/** Its answer has not the rows that were asked: the graph does not work row by row. */
export function afterUnsplit(version: string): Fruitless {
  return { version, refused: 0, until: Infinity };
}

/** A request was answered otherwise with others than alone: the rows are not independent. */
export const afterDifferent = afterUnsplit;

/** What was compared of an arm's joined calls. */
export interface Compared {
  readonly version: string;
  /** Joined calls, and those of them that were compared and had different rows. */
  readonly calls: number;
  readonly proofs: number;
}

/** So many joined calls with different rows are compared with single ones at first. */
export const COMPARED_FIRST = 8;
/** Then one in so many, for ever. */
export const COMPARE_EVERY = 1_000;

/** Is a joined call compared with single ones? Equal rows prove nothing, so they are not counted. */
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

/** Do requests for this version go together now? */
export function mayJoin(known: Fruitless | undefined, version: string, now: number): boolean {
  return known === undefined || known.version !== version || now >= known.until;
}

/**
 * What a joined call's status means for its requests. `apart`: one of them may have spoiled it, so
 * each gets its own call. `shared`: it is everyone's answer; to ask again would only double the load.
 */
export function meaningOf(status: number): 'split' | 'apart' | 'shared' {
  if (status >= 200 && status < 300) return 'split';
  const isOverload = status === 429 || status === 502 || status === 503 || status === 504;
  return status >= 400 && !isOverload ? 'apart' : 'shared';
}

/**
 * Requests of one class have about as much time left: callers who send a fresh deadline each time
 * go together nevertheless. Classes are half powers of two: 724 to 1024 ms is one, and the next
 * ends at 1448.
 */
export function timeClass(remainingMs: number): number {
  return Math.floor(2 * Math.log2(Math.max(1, remainingMs)));
}

/** Milliseconds that everyone of a class has at least. */
const leastMs = (group: number): number => 2 ** (group / 2);

/**
 * How long those of a class may wait for others. A call has the time of its earliest deadline,
 * which is the class's least (L) or more from when its first request came; it begins L/4 later at
 * most, so that 0.75 L are left for it. Nobody had more than 1.42 L: nobody loses more than half of
 * its time to the others.
 */
export function waitMs(maxDelayMs: number, group: number): number {
  return Math.min(maxDelayMs, leastMs(group) / 4);
}
