import type { KubeObject } from '../objects';
import { objectsOf } from '../objects';
import type { Arm, Environment, ModelSpec } from '../spec';
import { armObjectName, withDefaultGpus } from '../spec';
import { entryOf, isObject } from '../spec/entry';
import type { Capacity } from './capacity';
import type { PlanCost, Traffic } from './schema';

/** A model as one side of a comparison knows it. */
export type PlanModel =
  /** Its objects are rendered when they are needed. */
  | { readonly spec: ModelSpec }
  /** Committed manifests; the definition in them may be unreadable. */
  | { readonly spec?: ModelSpec | undefined; readonly objects: readonly KubeObject[] };

/** Models of one side, by id. */
export type PlanModels = ReadonlyMap<string, PlanModel>;

/** One side of a comparison in one environment. */
export interface PlanSide {
  readonly environment: Environment;
  readonly models: PlanModels;
  /** Objects of no single model. */
  readonly shared: readonly KubeObject[];
}

/** A model before or after the change, in one environment. */
export interface ModelState {
  /** With the GPUs that arms get from the environment. */
  readonly spec: ModelSpec | undefined;
  readonly environment: Environment;
  readonly objects: readonly KubeObject[];
}

/** @throws DefinitionError with the faults that show only when objects are made */
export function stateOf(
  model: PlanModel | undefined,
  environment: Environment,
): ModelState | undefined {
  if (model === undefined) return undefined;
  const { spec } = model;
  const objects = 'objects' in model ? model.objects : objectsOf(model.spec, environment);
  return { spec: spec && withDefaultGpus(spec, environment), environment, objects };
}

/** What the rules look at. */
export interface ModelChange {
  readonly id: string;
  readonly before: ModelState | undefined;
  readonly after: ModelState | undefined;
  readonly traffic: Traffic | undefined;
  /** What all models of the environment cost; undefined without prices. */
  readonly total: PlanCost | undefined;
  /** What all models of the environment need. */
  readonly capacity: Capacity;
  /** Registries that any model was pulled from before; undefined when that is not known. */
  readonly registries: ReadonlySet<string>;
  /** `YYYY-MM-DD`, for waivers. */
  readonly today: string | undefined;
}

/** The value at a path of plain data; undefined when there is none. */
export function valueAt(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (inner, key) => (isObject(inner) ? entryOf(inner, key) : undefined),
    value,
  );
}

export function numberAt(value: unknown, ...path: readonly string[]): number | undefined {
  const found = valueAt(value, ...path);
  return typeof found === 'number' ? found : undefined;
}

export function listAt(value: unknown, ...path: readonly string[]): readonly unknown[] {
  const found = valueAt(value, ...path);
  return Array.isArray(found) ? found : [];
}

function objectOf(state: ModelState | undefined, kind: string, name: string) {
  return state?.objects.find((object) => object.kind === kind && object.metadata.name === name);
}

/** The Deployment of an arm. */
export function deploymentOf(state: ModelState | undefined, id: string, arm: string) {
  return objectOf(state, 'Deployment', armObjectName(id, arm));
}

export const podOf = (deployment: KubeObject | undefined): unknown =>
  valueAt(deployment, 'spec', 'template', 'spec');

/** Containers and init containers of a Deployment. */
export function containersOf(deployment: KubeObject | undefined): readonly unknown[] {
  const pod = podOf(deployment);
  return [...listAt(pod, 'containers'), ...listAt(pod, 'initContainers')];
}

/** An arm that is on both sides. */
export interface ArmPair {
  readonly before: Arm;
  readonly after: Arm;
}

export function armPairs({ before, after }: ModelChange): readonly ArmPair[] {
  const old = new Map(before?.spec?.arms.map((arm) => [arm.name, arm]));
  return (after?.spec?.arms ?? []).flatMap((arm) => {
    const had = old.get(arm.name);
    return had === undefined ? [] : [{ before: had, after: arm }];
  });
}
