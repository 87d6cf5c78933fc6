/** Runs the work of one model after the other, that of different models at once. */
export interface Locks {
  readonly run: <T>(id: string, work: () => Promise<T>) => Promise<T>;
}

export function createLocks(): Locks {
  const tails = new Map<string, Promise<unknown>>();
  return {
    run: (id, work) => {
      const before = tails.get(id) ?? Promise.resolve();
      // The one before has its own caller to fail to.
      const mine = before.then(work, work);
      tails.set(id, mine);
      const done = (): void => {
        if (tails.get(id) === mine) tails.delete(id);
      };
      mine.then(done, done);
      return mine;
    },
  };
}
