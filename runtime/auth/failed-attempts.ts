import { ipv6Groups } from '../../lib/spec/hosts';
import { RecentMap } from '../shared/recent-map';
import type { AuthResult } from './port';

/** So many failures at once are mistakes of people: they are answered at once. */
const FREE_FAILURES = 5;
/** Half of the failures are forgotten after so long. */
const HALF_LIFE_MS = 10_000;
/** Delay of the first slow answer; it doubles with each further failure. */
const FIRST_DELAY_MS = 50;
const MAX_DELAY_MS = 1000;
/** Answers that wait; further ones go out at once: those who fail must not fill the memory. */
const MAX_WAITING = 100;
const MAX_ADDRESSES = 5000;
/** A caller usually has a whole network of IPv6 addresses, a /64: their first four groups. */
const NETWORK_GROUPS = 4;

interface Failures {
  count: number;
  at: number;
}

export interface FailureClock {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly setTimeout: (work: () => void, ms: number) => void;
}

/** A caller that shows nothing guesses nothing, and a provider that is down is not its fault. */
const isAttempt = (result: AuthResult): boolean =>
  !result.ok && result.credential !== undefined && result.reason !== 'unavailable';

/** `2001:db8::7` → `8193:3512:0:0`. The first /64 has loopback and mapped IPv4: one by one. */
function networkOf(address: string): string {
  const groups = ipv6Groups(address.replace(/%.*$/, ''));
  const network = groups?.slice(0, NETWORK_GROUPS);
  return network?.some((group) => group > 0) === true ? network.join(':') : address;
}

/**
 * Delays the answers to guesses, by the address that they come from. Only failures are delayed, so
 * that a valid credential is never slower for the failures of others at its address.
 */
export class FailedAttempts {
  private readonly failures = new RecentMap<string, Failures>(MAX_ADDRESSES);
  private waiting = 0;

  constructor(private readonly clock: FailureClock) {}

  /** The same result, later if the address failed often. */
  slow(address: string, result: AuthResult): AuthResult | Promise<AuthResult> {
    if (!isAttempt(result)) return result;
    const ms = this.delayOf(address);
    if (ms === 0 || this.waiting >= MAX_WAITING) return result;
    this.waiting += 1;
    return new Promise((resolve) => {
      this.clock.setTimeout(() => {
        this.waiting -= 1;
        resolve(result);
      }, ms);
    });
  }

  /** Counts a failure. @returns the delay of its answer, milliseconds */
  private delayOf(address: string): number {
    const now = this.clock.now();
    const from = networkOf(address);
    const { count, at } = this.failures.get(from) ?? { count: 0, at: now };
    const recent = count * 2 ** (-Math.max(0, now - at) / HALF_LIFE_MS) + 1;
    this.failures.set(from, { count: recent, at: now });
    if (recent <= FREE_FAILURES) return 0;
    return Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (recent - FREE_FAILURES - 1));
  }
}
