import type { ArmRoute } from '../../core/routing/table';
import type { AbortSignalLike } from '../http/exchange';
import { awaitResponse } from '../http/client/client';
import { CallerSignal } from '../http/server/caller-signal';
import type { Attempt } from '../dispatch/job';
import type { HttpClient } from '../http/client/client';
import { attemptHeaders } from './attempt-headers';
import { readAll } from './collect';

// What servers report about themselves: fetched once per arm and version, whatever the number of
// waiting requests.

/** The value, a confirmed absence, or unknown (ask again). */
export type ServerInfoResult<T> =
  | { readonly kind: 'fact'; readonly value: T }
  | { readonly kind: 'none' }
  | { readonly kind: 'unknown' };

export interface ServerInfoQuery<T> {
  readonly target: (model: string) => string;
  /** Maximum response size in bytes; a larger response counts as unknown. */
  readonly limit: number;
  readonly read: (status: number, body: Buffer) => ServerInfoResult<T>;
}

export interface ServerInfoCache<T> {
  /** Undefined: the server has none, or did not tell in time. */
  readonly get: (
    model: string,
    attempt: Attempt,
    signal: AbortSignalLike,
  ) => T | undefined | Promise<T | undefined>;
  /** The cached value of an arm's version; never asks the server. */
  readonly cached: (model: string, arm: ArmRoute) => T | undefined;
}

/** An absence is asked again after this time: a server that still loads has no metadata yet. */
const ABSENT_TTL_MS = 30_000;
/** A healthy server answers at once, so longer deadlines do not wait longer than this. */
const QUERY_TIMEOUT_MS = 10_000;
/** Per arm: during a rollout two versions answer. */
const MAX_VERSIONS = 2;

interface CachedInfo<T> {
  readonly value: T | undefined;
  /** Milliseconds since the epoch; the entry expires then. */
  readonly until: number;
}

const UNKNOWN = { kind: 'unknown' } as const;

/** Asks on behalf of all waiting requests: it does not end when one of them is cancelled. */
async function fetchInfo<T>(
  upstream: HttpClient,
  query: ServerInfoQuery<T>,
  model: string,
  { replica }: Attempt,
): Promise<ServerInfoResult<T>> {
  const body = undefined;
  const timeoutMs = QUERY_TIMEOUT_MS;
  const request = {
    method: 'GET',
    target: query.target(model),
    headers: attemptHeaders(replica, { headers: '', body }, undefined, timeoutMs),
    body,
    timeoutMs,
    signal: new CallerSignal(),
    repeatable: true,
  };
  const answered = await awaitResponse((asker) => upstream.send(replica, request, asker));
  if (answered.kind !== 'answered') return UNKNOWN;
  const read = await readAll(answered, query.limit, timeoutMs);
  return Buffer.isBuffer(read) ? query.read(answered.status, read) : UNKNOWN;
}

/** The result, or undefined when the waiting request was cancelled or its time is over. */
async function within<T>(
  pending: Promise<T | undefined>,
  { remainingMs }: Attempt,
  signal: AbortSignalLike,
): Promise<T | undefined> {
  let leave: () => void = () => undefined;
  const left = new Promise<undefined>((resolve) => {
    leave = () => resolve(undefined);
  });
  const timer = setTimeout(leave, remainingMs);
  signal.addEventListener('abort', leave, { once: true });
  try {
    return await Promise.race([pending, left]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', leave);
  }
}

/** One entry per arm of a model with a few versions each, so its size is bounded. */
class VersionMap<T> {
  private readonly models = new Map<string, Map<string, Map<string, T>>>();

  get(model: string, arm: string, version: string): T | undefined {
    return this.models.get(model)?.get(arm)?.get(version);
  }

  set(model: string, arm: string, version: string, value: T): void {
    const arms = this.models.get(model) ?? new Map<string, Map<string, T>>();
    const versions = arms.get(arm) ?? new Map<string, T>();
    versions.delete(version);
    versions.set(version, value);
    const [oldest = ''] = versions.keys();
    if (versions.size > MAX_VERSIONS) versions.delete(oldest);
    this.models.set(model, arms.set(arm, versions));
  }

  delete(model: string, arm: string, version: string): void {
    this.models.get(model)?.get(arm)?.delete(version);
  }
}

export function createServerInfoCache<T>(
  upstream: HttpClient,
  clock: { readonly now: () => number },
  query: ServerInfoQuery<T>,
): ServerInfoCache<T> {
  const cache = new VersionMap<CachedInfo<T> | Promise<T | undefined>>();
  const refresh = async (model: string, attempt: Attempt): Promise<T | undefined> => {
    const arm = attempt.arm.name;
    const { version } = attempt.replica;
    let result: ServerInfoResult<T> = UNKNOWN;
    try {
      result = await fetchInfo(upstream, query, model, attempt);
    } finally {
      if (result.kind === 'unknown') cache.delete(model, arm, version);
    }
    if (result.kind === 'unknown') return undefined;
    const value = result.kind === 'fact' ? result.value : undefined;
    const until = result.kind === 'fact' ? Infinity : clock.now() + ABSENT_TTL_MS;
    cache.set(model, arm, version, { value, until });
    return value;
  };
  return {
    cached: (model, arm) => {
      const cached = cache.get(model, arm.name, arm.version);
      return cached instanceof Promise ? undefined : cached?.value;
    },
    get: (model, attempt, signal) => {
      const arm = attempt.arm.name;
      const { version } = attempt.replica;
      const cached = cache.get(model, arm, version);
      if (cached instanceof Promise) return within(cached, attempt, signal);
      if (cached !== undefined && clock.now() < cached.until) return cached.value;
      const pending = refresh(model, attempt);
      cache.set(model, arm, version, pending);
      return within(pending, attempt, signal);
    },
  };
}
