/** Work on one thing, one after the other; on different things at the same time. */
export interface KeyedQueue {
  readonly run: <T>(kind: string, work: () => Promise<T>) => Promise<T>;
  /** Resolves when nothing is under way. */
  readonly idle: () => Promise<void>;
}

export function createKeyedQueue(): KeyedQueue {
  const last = new Map<string, Promise<void>>();
  return {
    run: (kind, work) => {
      const result = (last.get(kind) ?? Promise.resolve()).then(work);
      const over = result.then(
        () => undefined,
        () => undefined,
      );
      last.set(kind, over);
      void over.then(() => {
        if (last.get(kind) === over) last.delete(kind);
      });
      return result;
    },
    idle: async () => {
      while (last.size > 0) await Promise.all(last.values());
    },
  };
}
