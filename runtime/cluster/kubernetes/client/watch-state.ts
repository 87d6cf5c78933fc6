import type { KubeList, KubeObject, WatchEvent } from './api';
import { KubeError } from './api-error';

/** By name; immutable. */
export type Objects = ReadonlyMap<string, KubeObject>;

/** The last good view. */
export interface WatchView {
  readonly objects: Objects;
  /** The next watch continues from here. */
  readonly resourceVersion: string;
  /** When the server last sent anything, milliseconds since the epoch. */
  readonly lastContactAt: number;
}

/** How a stale view is being refreshed. */
export type RefreshState =
  | { readonly kind: 'waiting'; readonly resume: 'list' | 'watch' }
  | { readonly kind: 'listing'; readonly pages: Objects }
  | { readonly kind: 'watching' };

interface RetryState {
  /** Consecutive restarts that did not last. */
  readonly failures: number;
  /** The error that caused the last restart. */
  readonly fault?: KubeError;
}

export type WatchState = RetryState &
  (
    | { readonly phase: 'empty' }
    | { readonly phase: 'listing'; readonly pages: Objects }
    /** Current: a watch has been open since `since`. */
    | { readonly phase: 'synced'; readonly known: WatchView; readonly since: number }
    | { readonly phase: 'stale'; readonly known: WatchView; readonly refresh: RefreshState }
  );

export type WatchInput =
  /** The start, or the end of a pause. */
  | { readonly kind: 'due' }
  | { readonly kind: 'page'; readonly page: KubeList }
  | { readonly kind: 'events'; readonly events: readonly WatchEvent[] }
  /** The server ended the watch normally. */
  | { readonly kind: 'ended' }
  | { readonly kind: 'failed'; readonly error: KubeError }
  /** There was no event for `SILENCE_MS`. */
  | { readonly kind: 'silence' };

/** Replaces the current action: only one runs at a time. */
export type WatchAction =
  | { readonly kind: 'list'; readonly continue?: string }
  | { readonly kind: 'watch'; readonly resourceVersion: string; readonly timeoutSeconds: number }
  | { readonly kind: 'wait'; readonly ms: number };

export interface WatchStep {
  readonly state: WatchState;
  /** Absent: the current action continues. */
  readonly action?: WatchAction;
}

/** Time and random number (0 ≤ random < 1) of a decision. */
export interface Moment {
  readonly now: number;
  readonly random: number;
}

export const INITIAL_STATE: WatchState = { phase: 'empty', failures: 0 };

/** Two bookmarks, which come a minute apart, and half a minute for the network. */
export const SILENCE_MS = 150_000;
/** Watches are renewed, so that routers spread over API servers that return. */
const WATCH_SECONDS = 300;
const SPREAD = 0.2;
/** A watch that ends sooner counts as a failure, so that the loop pauses. */
const LASTING_MS = 10_000;
const MIN_PAUSE_MS = 1000;
const MAX_PAUSE_MS = 30_000;
/** Upper bound for a `Retry-After`. */
const MAX_RETRY_AFTER_SECONDS = 120;

const GONE = 410;
const TOO_MANY = 429;

/** Full jitter: 1–2 s, 1–4 s, … 1–30 s, and at least the server's `Retry-After`. */
function pauseMs(failures: number, error: KubeError, { random }: Moment): number {
  const most = Math.min(MAX_PAUSE_MS, MIN_PAUSE_MS * 2 ** failures);
  const own = MIN_PAUSE_MS + random * (most - MIN_PAUSE_MS);
  const retryAfter = Math.min(MAX_RETRY_AFTER_SECONDS, error.retryAfterSeconds ?? 0);
  return Math.max(own, retryAfter * 1000 * (1 + random * SPREAD));
}

function watchFrom({ resourceVersion }: WatchView, { random }: Moment): WatchAction {
  const spread = 1 - SPREAD + 2 * SPREAD * random;
  return { kind: 'watch', resourceVersion, timeoutSeconds: Math.round(WATCH_SECONDS * spread) };
}

function knownOf(state: WatchState): WatchView | undefined {
  return state.phase === 'synced' || state.phase === 'stale' ? state.known : undefined;
}

function isListing(state: WatchState): boolean {
  return state.phase === 'listing' || (state.phase === 'stale' && state.refresh.kind === 'listing');
}

function pagesOf(state: WatchState): Objects {
  if (state.phase === 'listing') return state.pages;
  return state.phase === 'stale' && state.refresh.kind === 'listing'
    ? state.refresh.pages
    : new Map();
}

function hasLasted(state: WatchState, { now }: Moment): boolean {
  return state.phase === 'synced' && now - state.since >= LASTING_MS;
}

const retryStateOf = ({ failures, fault }: WatchState): RetryState => ({
  failures,
  ...(fault && { fault }),
});

function listing(state: WatchState, pages: Objects, action: WatchAction): WatchStep {
  const retryState = retryStateOf(state);
  const known = knownOf(state);
  if (known === undefined) return { state: { ...retryState, phase: 'listing', pages }, action };
  return {
    state: { ...retryState, phase: 'stale', known, refresh: { kind: 'listing', pages } },
    action,
  };
}

function begin(state: WatchState, moment: Moment): WatchStep {
  if (
    state.phase !== 'stale' ||
    (state.refresh.kind === 'waiting' && state.refresh.resume === 'list')
  )
    return listing(state, new Map(), { kind: 'list' });
  const refresh: RefreshState = { kind: 'watching' };
  return { state: { ...state, refresh }, action: watchFrom(state.known, moment) };
}

/** Collects pages beside the old view; the last page replaces the view. */
function onPage(state: WatchState, page: KubeList, moment: Moment): WatchStep {
  const pages = new Map(pagesOf(state));
  for (const item of page.items) pages.set(item.metadata.name, item);
  if (page.continue !== undefined)
    return listing(state, pages, { kind: 'list', continue: page.continue });
  const { resourceVersion } = page;
  const known: WatchView = { objects: pages, resourceVersion, lastContactAt: moment.now };
  const { failures } = state;
  const synced: WatchState = { failures, phase: 'synced', known, since: moment.now };
  return { state: synced, action: watchFrom(known, moment) };
}

type Change = WatchEvent & { readonly object: KubeObject };

const isChange = (event: WatchEvent): event is Change => 'object' in event;

function withChanges(objects: Objects, changes: readonly Change[]): Objects {
  if (changes.length === 0) return objects;
  const next = new Map(objects);
  for (const { type, object } of changes) {
    if (type === 'DELETED') next.delete(object.metadata.name);
    else next.set(object.metadata.name, object);
  }
  return next;
}

function versionOf(event: WatchEvent): string | undefined {
  if (event.type === 'OPENED') return undefined;
  return event.type === 'BOOKMARK' ? event.resourceVersion : event.object.metadata.resourceVersion;
}

/** One copy of the map for all events: after an outage there may be thousands. */
function withEvents(
  known: WatchView,
  events: readonly WatchEvent[],
  lastContactAt: number,
): WatchView {
  const objects = withChanges(known.objects, events.filter(isChange));
  const versions = events.map(versionOf).filter((one) => one !== undefined && one !== '');
  return { objects, resourceVersion: versions.at(-1) ?? known.resourceVersion, lastContactAt };
}

function onEvents(state: WatchState, events: readonly WatchEvent[], { now }: Moment): WatchStep {
  const known = knownOf(state);
  if (known === undefined) return { state };
  const { failures } = state;
  const since = state.phase === 'synced' ? state.since : now;
  return { state: { failures, phase: 'synced', known: withEvents(known, events, now), since } };
}

/** After a watch that lasted, the next one starts at once. */
function onEnd(state: WatchState, moment: Moment): WatchStep {
  if (state.phase === 'synced' && hasLasted(state, moment))
    return {
      state: { failures: 0, phase: 'synced', known: state.known, since: moment.now },
      action: watchFrom(state.known, moment),
    };
  return onFault(state, new KubeError('network', 'the watch ended at once'), moment);
}

/** The resourceVersion is gone or unknown to this server. */
function mustList(state: WatchState, { kind, status }: KubeError): boolean {
  return isListing(state) || (kind === 'status' && status !== TOO_MANY);
}

function onFault(state: WatchState, fault: KubeError, moment: Moment): WatchStep {
  const failures = hasLasted(state, moment) ? 1 : state.failures + 1;
  const retryState: RetryState = { failures, fault };
  const known = knownOf(state);
  const resume = mustList(state, fault) ? 'list' : 'watch';
  const waiting: WatchState =
    known === undefined
      ? { ...retryState, phase: 'empty' }
      : { ...retryState, phase: 'stale', known, refresh: { kind: 'waiting', resume } };
  // 410 Gone: the server works and its history is too short, so list again at once, but only once.
  if (fault.status === GONE && failures === 1) return begin(waiting, moment);
  return { state: waiting, action: { kind: 'wait', ms: pauseMs(failures, fault, moment) } };
}

/** The connection may be dead; open a new one. */
function onSilence(state: WatchState, moment: Moment): WatchStep {
  const known = knownOf(state);
  if (known === undefined || isListing(state)) return { state };
  const fault = new KubeError('timeout', `nothing heard for ${SILENCE_MS / 1000} s`);
  const refresh: RefreshState = { kind: 'waiting', resume: 'watch' };
  return begin({ failures: 1, fault, phase: 'stale', known, refresh }, moment);
}

/** The next state and action of a watch. Pure. */
export function step(state: WatchState, input: WatchInput, moment: Moment): WatchStep {
  switch (input.kind) {
    case 'due':
      return begin(state, moment);
    case 'page':
      return onPage(state, input.page, moment);
    case 'events':
      return onEvents(state, input.events, moment);
    case 'ended':
      return onEnd(state, moment);
    case 'failed':
      return onFault(state, input.error, moment);
    case 'silence':
      return onSilence(state, moment);
  }
}
