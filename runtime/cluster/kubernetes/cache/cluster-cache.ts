import { messageOf } from '../../../core/lifecycle/fault';
import type { ModelRecord, Snapshot, WatchPhase, Why } from '../../port';
import type { Watchers } from '../../watchers';
import { createWatchers } from '../../watchers';
import type { KubeApi } from '../client/api';
import type { Resident } from './namespace-cache';
import { Corner } from './namespace-cache';
import type { Remembered } from '../apply/overrides-state';
import { parseRemembered } from '../apply/overrides-state';
import { createPulse } from '../client/apiserver-health';
import { RESOURCES } from '../client/resources';
import { STATE_NAME } from '../apply/overrides-store';
import { textAt } from '../client/object-fields';
import type { Timing } from '../client/timing';
import type { WatchLoop, WatchState } from '../client/watch-loop';
import { heardAt, objectsIn, startWatchLoop } from '../client/watch-loop';

/** A burst of events is one snapshot; a single one is told at once. */
const PUBLISH_MS = 50;
/** A model of thousands of pods takes a while to look at: at most a tenth of the time goes into that. */
const PAUSE_PER_LOOK = 10;
const MAX_PAUSE_MS = 1000;
/** When nothing changes, the snapshot still says now and then that the cluster is heard. */
const HEARD_MS = 15_000;

export interface WorldOptions {
  readonly api: Pick<KubeApi, 'list' | 'watch' | 'alive'>;
  /** A model that is in two of them counts in the first. */
  readonly namespaces: readonly string[];
  /** Of the service itself: what it remembers is there. */
  readonly home: string;
  readonly timing: Timing;
  readonly tell: (message: string) => void;
}

const RANK: readonly WatchPhase[] = ['empty', 'listing', 'stale', 'synced'];

/** As good as the worst: one that has seen nothing yet may hide anything. */
export function phaseOf(states: readonly WatchState[]): WatchPhase {
  const ranks = states.map(({ phase }) => RANK.indexOf(phase));
  return RANK[Math.min(...ranks)] ?? 'empty';
}

const atOf = (states: readonly WatchState[]): number =>
  Math.min(...states.map((state) => heardAt(state) ?? 0));

/** The cluster as the watches show it. */
export class World {
  readonly watchers: Watchers;
  readonly #corners: readonly Corner[];
  readonly #memory: WatchLoop;
  #texts: ReadonlyMap<string, string> = new Map();
  #models: ReadonlyMap<string, ModelRecord> = new Map();
  #phase: WatchPhase = 'empty';
  #lookedAt = -Infinity;
  #tookMs = 0;
  #publishedAt = -Infinity;
  #pending: (() => void) | undefined;
  #stopped = false;
  readonly #told = new Map<string, string>();
  readonly #hidden = new Set<string>();
  readonly #faults = new Map<string, Why>();
  /** Models of which a fault or what is remembered is another one since the last look. */
  readonly #due = new Set<string>();
  readonly #waiting = new Set<() => void>();

  constructor(private readonly options: WorldOptions) {
    const { api, namespaces, home, timing, tell } = options;
    const onChange = (): void => this.#schedule();
    const pulse = createPulse(api, timing);
    this.#corners = namespaces.map(
      (namespace) => new Corner({ api, namespace, timing, pulse, onChange, tell }),
    );
    this.#memory = startWatchLoop({
      api,
      namespace: home,
      resource: RESOURCES.ConfigMap,
      // A Role can allow a list of one object only when it is asked for by name.
      fieldSelector: `metadata.name=${STATE_NAME}`,
      timing,
      pulse,
      onChange,
    });
    this.watchers = createWatchers(() => this.#snapshot());
  }

  /** Where a model is, and what is seen of it. */
  find(slug: string): Resident | undefined {
    return this.#corners.map((corner) => corner.find(slug)).find((one) => one !== undefined);
  }

  residents(): readonly Resident[] {
    return this.#corners.flatMap((corner) => corner.residents());
  }

  remembered(slug: string): Remembered {
    return parseRemembered(this.#texts.get(slug));
  }

  /** Slugs that something is remembered of. */
  memories(): readonly string[] {
    return [...this.#texts.keys()];
  }

  /** What of a model could not be brought to its end: its status says so until that succeeds. */
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

  /** Resolves when the published snapshot fulfils the condition: true; or after `ms`: false. */
  until(condition: () => boolean, ms: number): Promise<boolean> {
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
    this.#memory.stop();
    for (const corner of this.#corners) corner.stop();
    for (const check of this.#waiting) check();
    this.watchers.close();
  }

  #states(): readonly WatchState[] {
    return [this.#memory.state(), ...this.#corners.flatMap((corner) => corner.states())];
  }

  #schedule(): void {
    if (this.#pending !== undefined || this.#stopped) return;
    const { timing } = this.options;
    const pause = Math.max(PUBLISH_MS, Math.min(MAX_PAUSE_MS, PAUSE_PER_LOOK * this.#tookMs));
    const wait = Math.max(0, this.#lookedAt + pause - timing.now());
    this.#pending = timing.after(() => {
      this.#pending = undefined;
      this.#tryPublish();
    }, wait);
  }

  /** The next change publishes again; meanwhile the last view serves. */
  #tryPublish(): void {
    try {
      this.#publish();
    } catch (error) {
      this.options.tell(`the view of the cluster could not be renewed: ${messageOf(error)}`);
    }
  }

  #publish(): void {
    this.#lookedAt = this.options.timing.now();
    this.#tellFaults();
    const texts = this.#textsNow();
    // Kept until all of them were looked at: what throws on the way leaves them to the next time.
    for (const slug of changedKeys(this.#texts, texts)) this.#due.add(slug);
    this.#texts = texts;
    const news = this.#corners.map((corner) =>
      corner.refresh(this.#due, (slug) => ({
        remembered: this.remembered(slug),
        fault: this.#faults.get(slug),
      })),
    );
    this.#due.clear();
    this.#tellWatchers(news.includes(true));
    this.#tookMs = this.options.timing.now() - this.#lookedAt;
    // Whoever waits may wait for something that no snapshot shows, as the end of a Deployment.
    for (const check of this.#waiting) check();
  }

  #tellWatchers(isNews: boolean): void {
    const now = this.options.timing.now();
    const phase = this.phase();
    const isDue = isNews || phase !== this.#phase;
    if (!isDue && now - this.#publishedAt < HEARD_MS) return;
    this.#publishedAt = now;
    this.#phase = phase;
    if (isDue) this.#models = this.#gather();
    this.watchers.tell();
  }

  #textsNow(): ReadonlyMap<string, string> {
    const [object] = objectsIn(this.#memory.state()).values();
    const data = Object.keys((object?.['data'] ?? {}) as object);
    return new Map(data.map((slug) => [slug, textAt(object, 'data', slug) ?? '']));
  }

  #gather(): ReadonlyMap<string, ModelRecord> {
    const models = new Map<string, ModelRecord>();
    for (const { slug, namespace, record } of this.residents()) {
      if (this.find(slug)?.namespace === namespace) models.set(record.spec.id, record);
      else this.#tellHidden(record.spec.id, namespace);
    }
    return models;
  }

  #tellHidden(id: string, namespace: string): void {
    const key = `${namespace}/${id}`;
    if (this.#hidden.has(key)) return;
    this.#hidden.add(key);
    this.options.tell(
      `model ${id} in namespace ${namespace} is not served: another one has its name`,
    );
  }

  /** Each trouble of a watch once, and again only when it is another. */
  #tellFaults(): void {
    const { fault } = this.#memory.state();
    const memory = fault === undefined ? [] : [['what is remembered', fault.message] as const];
    const faults = new Map([...memory, ...this.#corners.flatMap((corner) => corner.faults())]);
    for (const [what, message] of faults)
      if (this.#told.get(what) !== message) this.options.tell(`watch of ${what}: ${message}`);
    this.#told.clear();
    for (const [what, message] of faults) this.#told.set(what, message);
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
