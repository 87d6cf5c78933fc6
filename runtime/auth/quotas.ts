import { RecentMap } from '../shared/recent-map';
import type { Caller, QuotaResult, Quotas } from './port';

/** Pairs of caller and model whose buckets are kept; a dropped bucket begins full. */
const MAX_BUCKETS = 50_000;
const WINDOW_SECONDS = 60;

interface Bucket {
  tokens: number;
  /** When `tokens` was right, milliseconds since the epoch. */
  at: number;
}

/** How often a limit was reached. */
export type LimitedCounts = Readonly<Record<'rate' | 'concurrency', number>>;

const ok = (leave: () => void): QuotaResult => ({ ok: true, leave });
const NOTHING = ok(() => undefined);

/** https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/ */
function refusedByRate(perMinute: number, seconds: number, { name }: Caller): QuotaResult {
  return {
    ok: false,
    message: `the key of ${name} may call this model ${perMinute} times a minute; wait ${seconds} s, or ask the administrator for more (requests_per_minute)`,
    headers:
      `ratelimit-policy: "requests";q=${perMinute};w=${WINDOW_SECONDS}\r\n` +
      `ratelimit: "requests";r=0;t=${seconds}\r\n`,
    retryAfterSeconds: seconds,
  };
}

function refusedByConcurrency(most: number, { name }: Caller): QuotaResult {
  return {
    ok: false,
    message: `the key of ${name} may have ${most} requests at a time; wait for one of them, or ask the administrator for more (concurrency)`,
    headers:
      `ratelimit-policy: "concurrency";q=${most};qu="concurrent-requests"\r\n` +
      `ratelimit: "concurrency";r=0\r\n`,
    retryAfterSeconds: 1,
  };
}

/**
 * Limits of the callers: a token bucket for each caller and model, and a count of the requests that
 * run. They are kept by name, so that a rotated key goes on where the old one was.
 */
export class CallerQuotas implements Quotas {
  private readonly buckets = new RecentMap<string, Bucket>(MAX_BUCKETS);
  private readonly running = new Map<string, number>();
  private limited = { rate: 0, concurrency: 0 };

  constructor(private readonly now: () => number) {}

  enter(caller: Caller, model: string): QuotaResult {
    const { requestsPerMinute, concurrency } = caller.quota ?? {};
    const { name } = caller;
    const running = this.running.get(name) ?? 0;
    if (concurrency !== undefined && running >= concurrency) {
      this.limited.concurrency += 1;
      return refusedByConcurrency(concurrency, caller);
    }
    if (requestsPerMinute !== undefined) {
      const seconds = this.take(`${name}\n${model}`, requestsPerMinute);
      if (seconds > 0) {
        this.limited.rate += 1;
        return refusedByRate(requestsPerMinute, Math.ceil(seconds), caller);
      }
    }
    if (concurrency === undefined) return NOTHING;
    this.running.set(name, running + 1);
    return ok(() => this.leave(name));
  }

  counts(): LimitedCounts {
    return this.limited;
  }

  private leave(name: string): void {
    const left = (this.running.get(name) ?? 1) - 1;
    if (left <= 0) this.running.delete(name);
    else this.running.set(name, left);
  }

  /** Takes a token. @returns 0, or the seconds until there is one */
  private take(key: string, perMinute: number): number {
    const now = this.now();
    const perMs = perMinute / (WINDOW_SECONDS * 1000);
    const bucket = this.buckets.get(key) ?? { tokens: perMinute, at: now };
    const tokens = Math.min(perMinute, bucket.tokens + Math.max(0, now - bucket.at) * perMs);
    if (tokens < 1) {
      this.buckets.set(key, { tokens, at: now });
      return (1 - tokens) / perMs / 1000;
    }
    this.buckets.set(key, { tokens: tokens - 1, at: now });
    return 0;
  }
}
