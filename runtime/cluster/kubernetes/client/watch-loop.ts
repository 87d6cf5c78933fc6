import { notifyListener } from '../../watchers';
import type { KubeApi, WatchEvent } from './api';
import { KubeError, networkError } from './api-error';
import type { ApiserverHealth } from './apiserver-health';
import { QUIET_MS } from './apiserver-health';
import type { Resource } from './resources';
import type { Timing } from './timing';
import type { WatchAction, WatchInput, Objects, WatchState } from './watch-state';
import { INITIAL_STATE, SILENCE_MS, step } from './watch-state';

export type { Objects, WatchState } from './watch-state';

/** Few calls for the pods of a large cluster, and small enough for the server's memory. */
const PAGE_SIZE = 500;

export interface WatchLoopOptions {
  readonly api: Pick<KubeApi, 'list' | 'watch'>;
  readonly resource: Resource;
  readonly namespace: string;
  readonly labelSelector?: string | undefined;
  /** E.g. `metadata.name=x`: a Role may allow one object only. */
  readonly fieldSelector?: string | undefined;
  readonly timing: Timing;
  /** Called when a watch is silent, to detect a hung server. */
  readonly checkApiserver: ApiserverHealth;
  /** After every change of the view. */
  readonly onChange: (state: WatchState) => void;
}

/** A view of one resource in one namespace, kept current by list and watch. */
export interface WatchLoop {
  readonly state: () => WatchState;
  readonly stop: () => void;
}

const NONE: Objects = new Map();

/** The last good view; empty before there was one. */
export function objectsIn(state: WatchState): Objects {
  return state.phase === 'synced' || state.phase === 'stale' ? state.known.objects : NONE;
}

/** When the server last sent anything, milliseconds since the epoch; undefined: never. */
export function lastContactAt(state: WatchState): number | undefined {
  return state.phase === 'synced' || state.phase === 'stale'
    ? state.known.lastContactAt
    : undefined;
}

class Loop implements WatchLoop {
  #state: WatchState = INITIAL_STATE;
  /** Aborts the current request or timer; results of earlier rounds are ignored. */
  #round = new AbortController();
  #stopped = false;

  constructor(private readonly options: WatchLoopOptions) {
    this.#apply({ kind: 'due' });
  }

  readonly state = (): WatchState => this.#state;

  readonly stop = (): void => {
    this.#stopped = true;
    this.#round.abort();
  };

  #apply(input: WatchInput): void {
    const { timing, onChange } = this.options;
    const moment = { now: timing.now(), random: timing.random() };
    const { state, action } = step(this.#state, input, moment);
    const isNews = state !== this.#state;
    this.#state = state;
    if (action !== undefined) this.#begin(action);
    if (isNews) notifyListener(onChange, state);
  }

  #begin(action: WatchAction): void {
    if (this.#stopped) return;
    this.#round.abort();
    this.#round = new AbortController();
    const { signal } = this.#round;
    const apply = (input: WatchInput): void => {
      if (!signal.aborted) this.#apply(input);
    };
    if (action.kind === 'wait') this.#later(() => apply({ kind: 'due' }), action.ms, signal);
    else if (action.kind === 'list') void this.#list(action, apply);
    else void this.#watch(action, apply, signal);
  }

  /** A timer that ends with its round. */
  #later(call: () => void, ms: number, signal: AbortSignal): void {
    const cancel = this.options.timing.after(() => {
      signal.removeEventListener('abort', cancel);
      call();
    }, ms);
    signal.addEventListener('abort', cancel, { once: true });
  }

  async #list(
    { continue: next }: WatchAction & { kind: 'list' },
    apply: (input: WatchInput) => void,
  ): Promise<void> {
    const { api, resource, namespace, labelSelector, fieldSelector } = this.options;
    const selectors = { labelSelector, fieldSelector };
    const options = { limit: PAGE_SIZE, retry: false, ...selectors, continue: next };
    const input = await api.list(resource, namespace, options).then(
      (page): WatchInput => ({ kind: 'page', page }),
      (error: unknown): WatchInput => ({ kind: 'failed', error: errorOf(resource, error) }),
    );
    apply(input);
  }

  async #watch(
    { resourceVersion, timeoutSeconds }: WatchAction & { kind: 'watch' },
    apply: (input: WatchInput) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { api, resource, namespace, labelSelector, fieldSelector } = this.options;
    const options = { labelSelector, fieldSelector, resourceVersion, timeoutSeconds };
    const onEvent = this.#listen(apply, signal);
    const input = await api.watch(resource, namespace, options, onEvent, signal).then(
      (): WatchInput => ({ kind: 'ended' }),
      (error: unknown): WatchInput => ({ kind: 'failed', error: errorOf(resource, error) }),
    );
    apply(input);
  }

  /**
   * Passes on events, those of one chunk together, and reports when there was no event for too long
   * or the server does not answer. One timer per watch, not one per event.
   */
  #listen(apply: (input: WatchInput) => void, signal: AbortSignal): (event: WatchEvent) => void {
    const { timing, checkApiserver, resource } = this.options;
    let last = timing.now();
    let events: WatchEvent[] = [];
    const flush = (): void => {
      const all = events;
      events = [];
      apply({ kind: 'events', events: all });
    };
    const isQuiet = (): boolean => timing.now() - last >= QUIET_MS;
    const dead = (error: unknown): void => {
      if (isQuiet()) apply({ kind: 'failed', error: errorOf(resource, error) });
    };
    const check = (): void => {
      const left = last + SILENCE_MS - timing.now();
      if (left <= 0) return apply({ kind: 'silence' });
      if (isQuiet()) checkApiserver().catch(dead);
      this.#later(check, Math.min(left, QUIET_MS), signal);
    };
    this.#later(check, QUIET_MS, signal);
    return (event) => {
      last = timing.now();
      if (events.push(event) === 1) queueMicrotask(flush);
    };
  }
}

function errorOf({ plural }: Resource, error: unknown): KubeError {
  return error instanceof KubeError ? error : networkError(`watch of ${plural}`, error);
}

/** Lists and then watches until stopped, through every failure; starts at once. */
export function startWatchLoop(options: WatchLoopOptions): WatchLoop {
  return new Loop(options);
}
