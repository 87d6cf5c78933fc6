import { messageOf } from '../../../core/lifecycle/fault';
import type { ModelRecord, Snapshot, WatchPhase, Why } from '../../port';
import type { Watchers } from '../../watchers';
import { createWatchers } from '../../watchers';
import type { KubeApi } from '../client/api';
import type { CachedModel } from './namespace-cache';
import { NamespaceCache } from './namespace-cache';
import type { OverridesState } from '../apply/overrides-state';
import { parseOverrides } from '../apply/overrides-state';
import { createApiserverHealth } from '../client/apiserver-health';
import { RESOURCES } from '../client/resources';
import { OVERRIDES_CONFIGMAP } from '../apply/overrides-store';
import { textAt } from '../client/object-fields';
import type { Timing } from '../client/timing';
import type { WatchLoop, WatchState } from '../client/watch-loop';
import { lastContactAt, objectsIn, startWatchLoop } from '../client/watch-loop';

/** A burst of events becomes one snapshot; a single event is published at once. */
const PUBLISH_MS = 50;
/** A model may have thousands of pods: refreshes take at most a tenth of the time. */
const PAUSE_PER_LOOK = 10;
const MAX_PAUSE_MS = 1000;
/** Publish at least this often, so that the snapshot's time shows that the watches are alive. */
const HEARD_MS = 15_000;

export interface ClusterCacheOptions {
  readonly api: Pick<KubeApi, 'list' | 'watch' | 'alive'>;
  /** A model that exists in two of them is served from the first, which holds the overrides. */
  readonly namespaces: readonly [string, ...string[]];
  readonly timing: Timing;
  readonly warn: (message: string) => void;
}

const RANK: readonly WatchPhase[] = ['empty', 'listing', 'stale', 'synced'];

/** The worst phase of all watches. */
export function phaseOf(states: readonly WatchState[]): WatchPhase {
  const ranks = states.map(({ phase }) => RANK.indexOf(phase));
  return RANK[Math.min(...ranks)] ?? 'empty';
}

const atOf = (states: readonly WatchState[]): number =>
  Math.min(...states.map((state) => lastContactAt(state) ?? 0));

/** The cluster as the watches show it. */
export class ClusterCache {
  readonly watchers: Watchers;
  readonly #namespaces: readonly NamespaceCache[];
  readonly #overridesWatch: WatchLoop;
  #overrideTexts: ReadonlyMap<string, string> = new Map();
  #models: ReadonlyMap<string, ModelRecord> = new Map();
  #phase: WatchPhase = 'empty';
  #refreshedAt = -Infinity;
  #refreshMs = 0;
  #publishedAt = -Infinity;
  #pending: (() => void) | undefined;
  #stopped = false;
  readonly #reported = new Map<string, string>();
  readonly #reportedHidden = new Set<string>();
  readonly #faults = new Map<string, Why>();
  /** Models whose fault or overrides changed since the last refresh. */
  readonly #due = new Set<string>();
  readonly #waiting = new Set<() => void>();

  constructor(private readonly options: ClusterCacheOptions) {
    const { api, namespaces, timing, warn } = options;
    const onChange = (): void => this.#schedule();
    const checkApiserver = createApiserverHealth(api, timing);
    this.#namespaces = namespaces.map(
      (namespace) => new NamespaceCache({ api, namespace, timing, checkApiserver, onChange, warn }),
    );
    this.#overridesWatch = startWatchLoop({
      api,
      namespace: namespaces[0],
      resource: RESOURCES.ConfigMap,
      // With this selector a Role with `resourceNames` allows the list.
      fieldSelector: `metadata.name=${OVERRIDES_CONFIGMAP}`,
      timing,
      checkApiserver,
      onChange,
    });
    this.watchers = createWatchers(() => this.#snapshot());
  }

  /** The model in the first namespace that has it. */
  find(slug: string): CachedModel | undefined {
    return this.#namespaces.map((one) => one.find(slug)).find((one) => one !== undefined);
  }

  models(): readonly CachedModel[] {
    return this.#namespaces.flatMap((one) => one.models());
  }

  overrides(slug: string): OverridesState {
    return parseOverrides(this.#overrideTexts.get(slug));
  }

  slugsWithOverrides(): readonly string[] {
    return [...this.#overrideTexts.keys()];
  }

  /** A failed reconciliation, shown in the model's status until it succeeds. */
  setFault(slug: string, fault: Why | undefined): void {
    if (this.#faults.get(slug)?.message === fault?.message) return;
    if (fault === undefined) this.#faults.delete(slug);
    else this.#faults.set(slug, fault);
    this.#due.add(slug);
    this.#schedule();
  }

  phase(): WatchPhase {
    return phaseOf(this.#states());
  }

  /** True as soon as the cache meets the condition; false after `ms`. */
  waitFor(condition: () => boolean, ms: number): Promise<boolean> {
    if (condition()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const finish = (result: boolean): void => {
        this.#waiting.delete(check);
        cancel();
        resolve(result);
      };
      const check = (): void => {
        if (condition()) finish(true);
        else if (this.#stopped) finish(false);
      };
      const cancel = this.options.timing.after(() => finish(condition()), ms);
      this.#waiting.add(check);
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#pending?.();
    this.#overridesWatch.stop();
    for (const one of this.#namespaces) one.stop();
    for (const check of this.#waiting) check();
    this.watchers.close();
  }

  #states(): readonly WatchState[] {
    return [this.#overridesWatch.state(), ...this.#namespaces.flatMap((one) => one.states())];
  }

  #schedule(): void {
    if (this.#pending !== undefined || this.#stopped) return;
    const { timing } = this.options;
    const pause = Math.max(PUBLISH_MS, Math.min(MAX_PAUSE_MS, PAUSE_PER_LOOK * this.#refreshMs));
    const wait = Math.max(0, this.#refreshedAt + pause - timing.now());
    this.#pending = timing.after(() => {
      this.#pending = undefined;
      this.#tryPublish();
    }, wait);
  }

  /** On an error the last view stays in use until the next change. */
  #tryPublish(): void {
    try {
      this.#publish();
    } catch (error) {
      this.options.warn(`the view of the cluster could not be renewed: ${messageOf(error)}`);
    }
  }

  #publish(): void {
    this.#refreshedAt = this.options.timing.now();
    this.#reportFaults();
    const texts = this.#readOverrideTexts();
    // Cleared only after all were refreshed: after an error the next refresh takes them again.
    for (const slug of changedKeys(this.#overrideTexts, texts)) this.#due.add(slug);
    this.#overrideTexts = texts;
    const news = this.#namespaces.map((one) =>
      one.refresh(this.#due, (slug) => ({
        overrides: this.overrides(slug),
        fault: this.#faults.get(slug),
      })),
    );
    this.#due.clear();
    this.#notifyWatchers(news.includes(true));
    this.#refreshMs = this.options.timing.now() - this.#refreshedAt;
    // Always: a condition may depend on objects that no snapshot shows, such as a Deployment.
    for (const check of this.#waiting) check();
  }

  #notifyWatchers(isNews: boolean): void {
    const now = this.options.timing.now();
    const phase = this.phase();
    const isDue = isNews || phase !== this.#phase;
    if (!isDue && now - this.#publishedAt < HEARD_MS) return;
    this.#publishedAt = now;
    this.#phase = phase;
    if (isDue) this.#models = this.#gather();
    this.watchers.publish();
  }

  #readOverrideTexts(): ReadonlyMap<string, string> {
    const [object] = objectsIn(this.#overridesWatch.state()).values();
    const data = Object.keys((object?.['data'] ?? {}) as object);
    return new Map(data.map((slug) => [slug, textAt(object, 'data', slug) ?? '']));
  }

  #gather(): ReadonlyMap<string, ModelRecord> {
    const models = new Map<string, ModelRecord>();
    for (const { slug, namespace, record } of this.models()) {
      if (this.find(slug)?.namespace === namespace) models.set(record.spec.id, record);
      else this.#reportHidden(record.spec.id, namespace);
    }
    return models;
  }

  #reportHidden(id: string, namespace: string): void {
    const key = `${namespace}/${id}`;
    if (this.#reportedHidden.has(key)) return;
    this.#reportedHidden.add(key);
    this.options.warn(
      `model ${id} in namespace ${namespace} is not served: another one has its name`,
    );
  }

  /** Logs each fault of a watch once. */
  #reportFaults(): void {
    const { fault } = this.#overridesWatch.state();
    const memory = fault === undefined ? [] : [['what is remembered', fault.message] as const];
    const faults = new Map([...memory, ...this.#namespaces.flatMap((one) => one.faults())]);
    for (const [what, message] of faults)
      if (this.#reported.get(what) !== message) this.options.warn(`watch of ${what}: ${message}`);
    this.#reported.clear();
    for (const [what, message] of faults) this.#reported.set(what, message);
  }

  #snapshot(): Snapshot {
    return { phase: this.#phase, at: atOf(this.#states()), models: this.#models };
  }
}

function changedKeys(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): ReadonlySet<string> {
  const keys = [...new Set([...before.keys(), ...after.keys()])];
  return new Set(keys.filter((key) => before.get(key) !== after.get(key)));
}
