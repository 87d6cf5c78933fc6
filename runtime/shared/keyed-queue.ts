/** Runs work of one key in order, and work of different keys concurrently. */
export interface KeyedQueue {
  readonly run: <T>(kind: string, work: () => Promise<T>) => Promise<T>;
  /** Resolves when nothing is running. */
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
