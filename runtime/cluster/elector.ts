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

/** A record as the store has it. */
export interface StoredLease {
  readonly record: LeaseRecord;
  /** Goes into the write that follows the read. */
  readonly version: string;
}

/** Where the lease is. Rejects when it cannot be reached. */
export interface LeaseStore {
  /** Undefined: there is none. */
  readonly read: () => Promise<StoredLease | undefined>;
  /** False: somebody wrote since; `version` undefined: makes one. */
  readonly write: (record: LeaseRecord, version: string | undefined) => Promise<boolean>;
}

export interface ElectorOptions {
  readonly store: LeaseStore;
  /** Unique for every process: whoever is restarted under its old name must not lead at once. */
  readonly identity: string;
  /** `now` never jumps: the lease is measured by it. */
  readonly timing: Timing;
  /** Milliseconds since the epoch. */
  readonly wall: () => number;
  /** Told when the lead comes, goes, or cannot be asked about. */
  readonly log: (message: string, fields: { readonly error?: string }) => void;
}

/** One of those of whom one leads. */
export interface Elector {
  /** Now, and for long enough to begin one write. To be asked before each. */
  readonly isLeader: () => boolean;
  /** Who leads as far as was seen; undefined: nobody, or it was never read. */
  readonly leader: () => string | undefined;
  /** Gives the lead back, so that the next one need not wait. */
  readonly stop: () => Promise<void>;
}

/** A try that takes longer is given up for the next one; two of them fit into the deadline. */
const TRY_MS = RENEW_DEADLINE_MS / 2;

/** What a shutdown waits for the lease; it ends by itself after that. */
const RELEASE_MS = 2_000;

class Candidate implements Elector {
  #sighting: LeaseObservation | undefined;
  /** When the last renewal that succeeded was begun; undefined: somebody else leads. */
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

  /** Read, decide, write. What a round that was given up still finds out holds no less. */
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
      // Counted from before the write: everybody else sees it later.
      this.#renewedAt = Math.max(began, this.#renewedAt ?? began);
      this.#see(decision.record);
    } else if (decision.do === 'acquire') this.#renewedAt = undefined;
  }

  #see(record: LeaseRecord | undefined): void {
    this.#sighting = observedLease(this.#sighting, record, this.options.timing.now());
  }

  async #release(): Promise<void> {
    const { store, identity, wall } = this.options;
    // What is under way would otherwise be written over it.
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

/** Tries to lead, for ever; begins at once. */
export function startElector(options: ElectorOptions): Elector {
  return new Candidate(options);
}
