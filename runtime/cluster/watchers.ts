import type { Snapshot } from '../core/snapshot';
import type { Cluster } from './port';

export interface Watchers {
  readonly watch: Cluster['watch'];
  /** Takes a new snapshot and tells everyone. */
  readonly tell: () => void;
  readonly current: () => Snapshot;
  readonly close: () => void;
}

/** Keeps the last whole snapshot and tells listeners about each new one. */
export function createWatchers(take: () => Snapshot): Watchers {
  const listeners = new Set<(snapshot: Snapshot) => void>();
  let current = take();
  return {
    current: () => current,
    tell: () => {
      current = take();
      for (const listener of listeners) listener(current);
    },
    watch: (listener) => {
      // A function of its own for each watch: the same listener may be given twice.
      const own = (snapshot: Snapshot): void => listener(snapshot);
      listeners.add(own);
      own(current);
      return { snapshot: () => current, stop: () => void listeners.delete(own) };
    },
    close: () => listeners.clear(),
  };
}
