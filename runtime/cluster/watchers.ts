import type { Snapshot } from '../core/lifecycle/snapshot';
import type { Cluster } from './port';

export interface Watchers {
  readonly watch: Cluster['watch'];
  /** Takes a new snapshot and tells everyone. */
  readonly publish: () => void;
  readonly close: () => void;
}

/**
 * A listener's defect is its own: the cluster and the other listeners go on. It is heard of as a
 * warning of the process, and ends nothing.
 */
export function notifyListener<T>(listener: (news: T) => void, news: T): void {
  try {
    listener(news);
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.emitWarning(`a listener of the cluster failed: ${text}`);
  }
}

/** Keeps the last whole snapshot and tells listeners about each new one. */
export function createWatchers(take: () => Snapshot): Watchers {
  const listeners = new Set<(snapshot: Snapshot) => void>();
  let current = take();
  return {
    publish: () => {
      current = take();
      // `current`, not what it was: a listener may have changed something, and nobody may end up
      // with the older snapshot.
      for (const listener of listeners) notifyListener(listener, current);
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
