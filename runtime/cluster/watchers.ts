import type { Snapshot } from '../core/lifecycle/snapshot';
import type { Cluster } from './port';

export interface Watchers {
  readonly watch: Cluster['watch'];
  /** Takes a new snapshot and calls every listener. */
  readonly publish: () => void;
  readonly close: () => void;
}

/**
 * An error of one listener becomes a warning of the process; the cluster and the other listeners go
 * on.
 */
export function notifyListener<T>(listener: (news: T) => void, news: T): void {
  try {
    listener(news);
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.emitWarning(`a listener of the cluster failed: ${text}`);
  }
}

/** Keeps the last snapshot and passes each new one to the listeners. */
export function createWatchers(take: () => Snapshot): Watchers {
  const listeners = new Set<(snapshot: Snapshot) => void>();
  let current = take();
  return {
    publish: () => {
      current = take();
      // Read `current` each time: a listener may publish, and no listener may get the older
      // snapshot last.
      for (const listener of listeners) notifyListener(listener, current);
    },
    watch: (listener) => {
      // A separate function per watch: the same listener may be passed twice.
      const own = (snapshot: Snapshot): void => listener(snapshot);
      listeners.add(own);
      own(current);
      return { snapshot: () => current, stop: () => void listeners.delete(own) };
    },
    close: () => listeners.clear(),
  };
}
