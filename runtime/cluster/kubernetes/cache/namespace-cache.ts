import type { ModelSpec } from '../../../../lib/spec';
import { DEFINITION_LABEL, MODEL_LABEL } from '../../../../lib/objects';
import { definitionName } from '../../../../lib/objects/configmap';
import { faultedArms, faultWhy, messageOf } from '../../../core/lifecycle/fault';
import type { ModelRecord, Why } from '../../port';
import type { KubeApi, KubeObject } from '../client/api';
import type { Definition } from '../apply/stored-definition';
import { readDefinition } from '../apply/stored-definition';
import { PodMetrics } from '../scale/pod-metrics';
import type { ApiserverHealth } from '../client/apiserver-health';
import { recordOf } from './model-record';
import type { OverridesState } from '../apply/overrides-state';
import { overridesFor } from '../apply/overrides-state';
import { RESOURCES } from '../client/resources';
import { ModelIndex } from './model-index';
import { slugByLabel, slugOfEvent } from './slugs';
import type { Timing } from '../client/timing';
import type { WatchLoop, WatchState } from '../client/watch-loop';
import { objectsIn, startWatchLoop } from '../client/watch-loop';

const { ConfigMap, Deployment, Event, HorizontalPodAutoscaler, Pod } = RESOURCES;

const WATCHED = {
  definitions: { resource: ConfigMap, labelSelector: `${DEFINITION_LABEL}=true` },
  deployments: { resource: Deployment, labelSelector: MODEL_LABEL },
  pods: { resource: Pod, labelSelector: MODEL_LABEL },
  autoscalers: { resource: HorizontalPodAutoscaler, labelSelector: MODEL_LABEL },
  events: { resource: Event },
} as const;
type Kind = keyof typeof WATCHED;
const KINDS = Object.keys(WATCHED) as readonly Kind[];

export interface NamespaceCacheOptions {
  readonly api: Pick<KubeApi, 'list' | 'watch'>;
  readonly namespace: string;
  readonly timing: Timing;
  readonly checkApiserver: ApiserverHealth;
  readonly onChange: () => void;
  readonly warn: (message: string) => void;
}

/** A model as one namespace holds it. */
export interface CachedModel {
  readonly slug: string;
  readonly namespace: string;
  readonly definition: Definition;
  readonly record: ModelRecord;
  readonly deployments: readonly KubeObject[];
}

/** State of a model that its own objects do not hold. */
export interface ModelSideState {
  readonly overrides: OverridesState;
  /** The last failed reconciliation. */
  readonly fault: Why | undefined;
}

/** The models of one namespace; a model is refreshed only when one of its objects changed. */
export class NamespaceCache {
  readonly namespace: string;
  readonly #loops: Readonly<Record<Kind, WatchLoop>>;
  readonly #indexes: Readonly<Record<Kind, ModelIndex>>;
  readonly #podMetrics: PodMetrics;
  readonly #metricsIndex = new ModelIndex(slugByLabel);
  readonly #definitions = new Map<string, Definition>();
  /** Invalid definitions that were logged, so that each is logged once. */
  readonly #reported = new Map<string, KubeObject>();
  readonly #models = new Map<string, CachedModel>();

  constructor(private readonly options: NamespaceCacheOptions) {
    const { api, namespace, timing, checkApiserver, onChange } = options;
    this.namespace = namespace;
    const loop = (kind: Kind): WatchLoop =>
      startWatchLoop({ api, namespace, timing, checkApiserver, onChange, ...WATCHED[kind] });
    this.#loops = byKind(loop);
    this.#podMetrics = new PodMetrics({ api, namespace, timing, onChange });
    this.#indexes = byKind((kind) => new ModelIndex(kind === 'events' ? slugOfEvent : slugByLabel));
  }

  /** Without events: they only explain causes, and the Role may not allow them. */
  states(): readonly WatchState[] {
    return KINDS.filter((kind) => kind !== 'events').map((kind) => this.#loops[kind].state());
  }

  /** The last error of each watch. */
  faults(): readonly (readonly [string, string])[] {
    return KINDS.flatMap((kind) => {
      const { fault } = this.#loops[kind].state();
      return fault === undefined ? [] : [[`${kind} in ${this.namespace}`, fault.message] as const];
    });
  }

  models(): readonly CachedModel[] {
    return [...this.#models.values()];
  }

  find(slug: string): CachedModel | undefined {
    return this.#models.get(slug);
  }

  stop(): void {
    for (const kind of KINDS) this.#loops[kind].stop();
    this.#podMetrics.stop();
  }

  /** Refreshes the changed models and those in `also`. True: a record changed. */
  refresh(also: ReadonlySet<string>, sideStateOf: (slug: string) => ModelSideState): boolean {
    const changed = new Set(also);
    for (const kind of KINDS) {
      const objects = objectsIn(this.#loops[kind].state());
      for (const slug of this.#indexes[kind].take(objects)) changed.add(slug);
    }
    for (const slug of this.#metricsIndex.take(this.#podMetrics.objects())) changed.add(slug);
    return [...changed].map((slug) => this.#tryLook(slug, sideStateOf)).includes(true);
  }

  /** An error of one model becomes its status and does not affect the others. */
  #tryLook(slug: string, sideStateOf: (slug: string) => ModelSideState): boolean {
    try {
      return this.#look(slug, sideStateOf(slug));
    } catch (error) {
      const { warn, timing } = this.options;
      warn(`model ${slug} in ${this.namespace} cannot be looked at: ${messageOf(error)}`);
      const before = this.#models.get(slug);
      if (before === undefined) return false;
      const record = withFault(before.record, faultWhy(error, `model ${slug}`, timing.now()));
      this.#models.set(slug, { ...before, record });
      return true;
    }
  }

  #look(slug: string, { overrides, fault }: ModelSideState): boolean {
    const definition = this.#definitionOf(slug);
    const before = this.#models.get(slug);
    if (definition === undefined) return this.#models.delete(slug);
    const objectsOf = (kind: Kind): readonly KubeObject[] => this.#indexes[kind].of(slug);
    const deployments = objectsOf('deployments');
    const { spec, revision, hash, manager, createdAt, updatedAt, deleting } = definition;
    const held = { spec, revision, hash, manager, createdAt, updatedAt, deleting };
    const state = overridesFor(overrides, hash);
    const now = this.options.timing.now();
    const observed = {
      deployments,
      pods: objectsOf('pods'),
      autoscalers: objectsOf('autoscalers'),
      events: objectsOf('events'),
      metrics: this.#metricsIndex.of(slug),
      now,
    };
    const { namespace } = this;
    const latest = { ...recordOf({ ...held, ...(state && { state }) }, observed), namespace };
    const found = fault === undefined ? latest : withFault(latest, fault);
    const isNews = before === undefined || !isSame(before.record, found);
    const record = isNews ? found : before.record;
    this.#models.set(slug, { slug, namespace: this.namespace, definition, record, deployments });
    return isNews;
  }

  /** An invalid definition leaves the last valid one in use: its replicas keep serving. */
  #definitionOf(slug: string): Definition | undefined {
    const name = definitionName(slug);
    const object = this.#indexes.definitions.of(slug).find((one) => one.metadata.name === name);
    if (object === undefined) {
      this.#definitions.delete(slug);
      this.#reported.delete(slug);
      return undefined;
    }
    const known = this.#definitions.get(slug);
    if (known?.object === object || this.#reported.get(slug) === object) return known;
    try {
      const definition = readDefinition(object);
      requireSlug(definition.spec, slug);
      this.#definitions.set(slug, definition);
    } catch (error) {
      this.#reported.set(slug, object);
      this.#reportBroken(object, error as Error, known);
    }
    return this.#definitions.get(slug);
  }

  #reportBroken({ metadata }: KubeObject, { message }: Error, known: Definition | undefined): void {
    const serves = known === undefined ? 'the model is not served' : 'the last good one holds';
    const place = `ConfigMap ${metadata.namespace ?? this.namespace}/${metadata.name}`;
    this.options.warn(`${place} holds no definition that can be used, ${serves}: ${message}`);
  }
}

function withFault(record: ModelRecord, why: Why): ModelRecord {
  return { ...record, arms: faultedArms(record.spec, record.arms, why) };
}

function byKind<T>(make: (kind: Kind) => T): Readonly<Record<Kind, T>> {
  return Object.fromEntries(KINDS.map((kind) => [kind, make(kind)])) as Record<Kind, T>;
}

function requireSlug({ slug, id }: ModelSpec, label: string): void {
  if (slug !== label) throw new Error(`it is model ${id}, and labelled as one called ${label}`);
}

/** Many changes of objects (heartbeats, field owners) do not change the record. */
function isSame(a: ModelRecord, b: ModelRecord): boolean {
  const { spec: specA, ...restA } = a;
  const { spec: specB, ...restB } = b;
  return specA === specB && JSON.stringify(restA) === JSON.stringify(restB);
}
