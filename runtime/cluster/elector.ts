import type { LeaseRecord, LeaseObservation } from '../core/lifecycle/lease';
import {
  decideLease,
  isHeld,
  RENEW_DEADLINE_MS,
  released,
  retryMs,
  observedLease,
} from '../core/lifecycle/lease';
import type { Timing } from './kubernetes/client/timing';

/** A lease record and its version. */
export interface StoredLease {
  readonly record: LeaseRecord;
  /** Precondition of the next write. */
  readonly version: string;
}

/** Storage of the lease. Rejects when it cannot be reached. */
export interface LeaseStore {
  /** Undefined: there is no lease. */
  readonly read: () => Promise<StoredLease | undefined>;
  /** False: another router wrote meanwhile. `version` undefined: creates the lease. */
  readonly write: (record: LeaseRecord, version: string | undefined) => Promise<boolean>;
}

export interface ElectorOptions {
  readonly store: LeaseStore;
  /** Unique per process: a restarted pod of the same name must not lead at once. */
  readonly identity: string;
  /** `now` must be monotonic: the lease is measured by it. */
  readonly timing: Timing;
  /** Milliseconds since the epoch. */
  readonly wall: () => number;
  /** Called when leadership is gained or lost, or the lease cannot be read. */
  readonly log: (message: string, fields: { readonly error?: string }) => void;
}

/** One candidate for leadership. */
export interface Elector {
  /** True long enough to begin one write; check before each. */
  readonly isLeader: () => boolean;
  /** The last known leader; undefined: none, or the lease was never read. */
  readonly leader: () => string | undefined;
  /** Releases the lease, so that the next leader need not wait. */
  readonly stop: () => Promise<void>;
}

/** A longer try is abandoned; two tries fit into the renew deadline. */
const TRY_MS = RENEW_DEADLINE_MS / 2;

/** A shutdown waits this long to release the lease, which expires otherwise. */
const RELEASE_MS = 2_000;

class Candidate implements Elector {
  #sighting: LeaseObservation | undefined;
  /** Start of the last successful renewal; undefined: another router leads. */
  #renewedAt: number | undefined;
  #told = false;
  #failing = false;
  #stopped = false;
  #round: Promise<void> = Promise.resolve();
  #cancel = (): void => undefined;

  constructor(private readonly options: ElectorOptions) {
    void this.#loop();
  }

  readonly isLeader = (): boolean =>
    !this.#stopped && isHeld(this.#renewedAt, this.options.timing.now());

  readonly leader = (): string | undefined => this.#sighting?.record?.holder || undefined;

  readonly stop = async (): Promise<void> => {
    const wasLeader = this.isLeader();
    this.#stopped = true;
    this.#cancel();
    const last = wasLeader ? this.#release() : this.#round;
    await this.#inTime(last, RELEASE_MS).catch(() => undefined);
  };

  async #loop(): Promise<void> {
    while (!this.#stopped) {
      this.#round = this.#try();
      try {
        await this.#inTime(this.#round, TRY_MS);
        this.#failing = false;
      } catch (error) {
        if (!this.#failing && !this.#stopped)
          this.options.log('the lease could not be read or written; it is tried again', {
            error: (error as Error).message,
          });
        this.#failing = true;
      }
      this.#news();
      if (!this.#stopped) await this.#pause(retryMs(this.isLeader(), this.options.timing.random()));
    }
  }

  /** Read, decide, write. Results of an abandoned round still count. */
  async #try(): Promise<void> {
    const { store, identity, timing, wall } = this.options;
    const began = timing.now();
    const kept = await store.read();
    this.#see(kept?.record);
    const moment = { now: timing.now(), wall: wall() };
    const sighting = this.#sighting ?? { record: undefined, since: moment.now };
    const decision = decideLease(sighting, identity, moment);
    if (decision.do === 'follow') this.#renewedAt = undefined;
    if (decision.do === 'follow' || this.#stopped) return;
    if (await store.write(decision.record, kept?.version)) {
      // Counted from before the write: other routers see it later.
      this.#renewedAt = Math.max(began, this.#renewedAt ?? began);
      this.#see(decision.record);
    } else if (decision.do === 'acquire') this.#renewedAt = undefined;
  }

  #see(record: LeaseRecord | undefined): void {
    this.#sighting = observedLease(this.#sighting, record, this.options.timing.now());
  }

  async #release(): Promise<void> {
    const { store, identity, wall } = this.options;
    // A pending write would overwrite the release.
    await this.#round;
    const kept = await store.read();
    if (kept?.record.holder !== identity) return;
    await store.write(released(kept.record, wall()), kept.version);
  }

  #news(): void {
    const leads = this.isLeader();
    if (leads === this.#told) return;
    this.#told = leads;
    const now = leads ? 'this router leads' : 'this router no longer leads';
    this.options.log(now, {});
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.options.timing.after(resolve, ms);
      this.#cancel = () => {
        cancel();
        resolve();
      };
    });
  }

  #inTime(work: Promise<void>, ms: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = new Error(`no answer in ${ms / 1000} s`);
      const cancel = this.options.timing.after(() => reject(late), ms);
      work.then(resolve, reject).finally(cancel);
    });
  }
}

/** Campaigns for the lease until stopped; starts at once. */
export function startElector(options: ElectorOptions): Elector {
  return new Candidate(options);
}
