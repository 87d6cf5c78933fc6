// When requests go together, and when no more: pure, as all decisions.

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

/** Nobody may lose more than half of its time to waiting for others. */
export function waitMs(maxDelayMs: number, timeoutMs: number): number {
  return Math.min(maxDelayMs, timeoutMs / 2);
}
