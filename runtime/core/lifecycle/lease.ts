/** Content of the lease. Times are by the holder's clock: informative, never compared. */
export interface LeaseRecord {
  /** Empty when the lease was released. */
  readonly holder: string;
  /** How long a silent holder keeps it. */
  readonly durationSeconds: number;
  /** Milliseconds since the epoch. */
  readonly acquiredAt: number;
  readonly renewedAt: number;
  /** How often it went to another holder. */
  readonly transitions: number;
}

/** The values of client-go's leader election, which every controller of Kubernetes uses. */
export const LEASE_SECONDS = 15;
/** A holder that could not renew for this long stops, well before another may take over. */
export const RENEW_DEADLINE_MS = 10_000;
const RETRY_MS = 2_000;
/** Followers wait up to this much longer, so that they do not all try in the same moment. */
const RETRY_JITTER = 1.2;

/** A record, and since when we have observed it unchanged, by our own clock. */
export interface LeaseObservation {
  /** Undefined: there is no lease. */
  readonly record: LeaseRecord | undefined;
  readonly since: number;
}

const FIELDS = ['holder', 'durationSeconds', 'acquiredAt', 'renewedAt', 'transitions'] as const;

function isSame(a: LeaseRecord | undefined, b: LeaseRecord | undefined): boolean {
  return FIELDS.every((field) => a?.[field] === b?.[field]);
}

/** Clocks of two machines differ; that a record changes is seen by one. */
export function observedLease(
  before: LeaseObservation | undefined,
  record: LeaseRecord | undefined,
  now: number,
): LeaseObservation {
  if (before !== undefined && isSame(before.record, record)) return before;
  return { record, since: now };
}

export type LeaseDecision =
  /** To be written on the condition that the lease is unchanged since it was read. */
  | { readonly do: 'acquire' | 'renew'; readonly reason: string; readonly record: LeaseRecord }
  | { readonly do: 'follow'; readonly reason: string };

export interface LeaseMoment {
  /** Milliseconds by a clock that never jumps; the one of the sighting. */
  readonly now: number;
  /** Milliseconds since the epoch, for the record. */
  readonly wall: number;
}

/**
 * Whether to take, keep or leave the lease. A holder is given up when its record has not changed
 * for as long as it promised to renew it within, whatever its clock says.
 */
export function decideLease(
  { record, since }: LeaseObservation,
  me: string,
  { now, wall }: LeaseMoment,
): LeaseDecision {
  const mine = { holder: me, durationSeconds: LEASE_SECONDS, renewedAt: wall };
  if (record === undefined) {
    const first = { ...mine, acquiredAt: wall, transitions: 0 };
    return { do: 'acquire', reason: 'there is no lease yet', record: first };
  }
  const { holder, durationSeconds, acquiredAt, transitions } = record;
  if (holder === me)
    return {
      do: 'renew',
      reason: 'this router holds it',
      record: { ...mine, acquiredAt, transitions },
    };
  const silent = now - since;
  if (holder !== '' && silent < durationSeconds * 1000)
    return { do: 'follow', reason: `held by ${holder}` };
  const why =
    holder === '' ? 'it was given back' : `${holder} has not renewed it for ${silent / 1000} s`;
  const next = { ...mine, acquiredAt: wall, transitions: transitions + 1 };
  return { do: 'acquire', reason: why, record: next };
}

/** What a holder leaves behind, so that the next one need not wait. */
export function released(record: LeaseRecord, wall: number): LeaseRecord {
  return { ...record, holder: '', durationSeconds: 1, renewedAt: wall };
}

/**
 * May the holder still act? `renewedAt`: when the last renewal that succeeded was begun, so that
 * everybody else has seen it later than that.
 */
export function isHeld(renewedAt: number | undefined, now: number): boolean {
  return renewedAt !== undefined && now - renewedAt < RENEW_DEADLINE_MS;
}

/** Until the next try, milliseconds. A holder is punctual. */
export function retryMs(isLeader: boolean, random: number): number {
  return isLeader ? RETRY_MS : RETRY_MS * (1 + RETRY_JITTER * random);
}
