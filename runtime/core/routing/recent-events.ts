/** Events of the last seconds, counted per second; older ones fall out. Memory is fixed. */
export interface RecentEvents {
  readonly counts: Float64Array;
  /** The second (since the epoch) counted last; 0 before the first event. */
  second: number;
}

export function createRecent(seconds: number): RecentEvents {
  return { counts: new Float64Array(seconds), second: 0 };
}

/** Empties the seconds that passed without an event. A clock that went back changes nothing. */
function advance(recent: RecentEvents, now: number): void {
  const second = Math.floor(now / 1000);
  const { counts } = recent;
  if (second <= recent.second) return;
  const passed = Math.min(counts.length, second - recent.second);
  for (let step = 0; step < passed; step += 1) counts[(second - step) % counts.length] = 0;
  recent.second = second;
}

export function addRecent(recent: RecentEvents, now: number): void {
  advance(recent, now);
  const at = recent.second % recent.counts.length;
  recent.counts[at] = (recent.counts[at] ?? 0) + 1;
}

export function sumRecent(recent: RecentEvents, now: number): number {
  advance(recent, now);
  return recent.counts.reduce((sum, count) => sum + count, 0);
}
