/** Free capacity of a replica at a moment. */
export interface FreeCapacity {
  readonly replica: string;
  /** Free slots. */
  readonly free: number;
  /** Expected milliseconds per item. */
  readonly costMs: number;
}

/** A part of a batch that goes to one replica in one call. */
export interface Chunk {
  /** Undefined: any replica. */
  readonly replica: string | undefined;
  readonly items: number;
  /** Slots it may use when its items have to go one by one. */
  readonly lanes: number;
}

/** Even a replica that answers at once is not infinitely fast. */
const LEAST_COST_MS = 0.001;

/** Items per millisecond that its free slots promise; of a full arm, what its slots will. */
function speedsOf(rooms: readonly FreeCapacity[]): readonly number[] {
  const isFull = rooms.every(({ free }) => free === 0);
  return rooms.map(({ free, costMs }) => (isFull ? 1 : free) / Math.max(LEAST_COST_MS, costMs));
}

/**
 * Whole items in proportion to speed, by largest remainder: 7 items over speeds 1, 1, 1 are 3, 2, 2
 * and over 3, 1 they are 5, 2.
 */
function proportional(items: number, speeds: readonly number[]): readonly number[] {
  const total = speeds.reduce((sum, one) => sum + one, 0);
  const exact = speeds.map((speed) => (items * speed) / total);
  const whole = exact.map(Math.floor);
  const left = items - whole.reduce((sum, one) => sum + one, 0);
  const remainder = (at: number): number => (exact[at] ?? 0) - (whole[at] ?? 0);
  const neediest = [...whole.keys()].sort((a, b) => remainder(b) - remainder(a));
  const more = new Set(neediest.slice(0, left));
  return whole.map((one, at) => (more.has(at) ? one + 1 : one));
}

/**
 * A batch over the replicas of one arm, so that all are done at about the same time: a chunk for
 * each that has room, as large as its free slots and its speed say. A full arm is waited for.
 */
export function chunksOf(items: number, rooms: readonly FreeCapacity[]): readonly Chunk[] {
  if (rooms.length === 0) return [{ replica: undefined, items, lanes: 1 }];
  const sizes = proportional(items, speedsOf(rooms));
  return rooms.flatMap(({ replica, free }, at) => {
    const size = sizes[at] ?? 0;
    return size === 0 ? [] : [{ replica, items: size, lanes: Math.max(1, free) }];
  });
}

/** How many items may be under way at once when each is a call of its own. */
export function lanesOf(rooms: readonly FreeCapacity[]): number {
  return rooms.reduce((sum, { free }) => sum + Math.max(1, free), 0) || 1;
}
