import type { LeaseRecord } from '../../runtime/core/lifecycle/lease';
import type { StoredLease, LeaseStore } from '../../runtime/cluster/elector';

/** A lease in memory, with the optimistic lock of an API server. */
export interface TestLease {
  readonly store: LeaseStore;
  readonly record: () => LeaseRecord | undefined;
  /** What each read and write waits for; a test makes it fail or hang. */
  wait: () => Promise<void>;
}

export function createTestLease(): TestLease {
  let kept: StoredLease | undefined;
  let version = 0;
  const lease: TestLease = {
    wait: () => Promise.resolve(),
    record: () => kept?.record,
    store: {
      read: async () => {
        await lease.wait();
        return kept;
      },
      write: async (record, condition) => {
        await lease.wait();
        if (condition !== kept?.version) return false;
        version += 1;
        kept = { record, version: String(version) };
        return true;
      },
    },
  };
  return lease;
}
