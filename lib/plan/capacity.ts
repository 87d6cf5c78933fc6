import type { Environment, ModelSpec, QuotaName } from '../spec';
import { needOf, quotaOf, updateStrategyOf, withDefaultGpus } from '../spec';

export const RESOURCES: readonly QuotaName[] = ['gpu', 'cpu', 'memory'];

export interface ResourceNeed {
  /** All arms at their fewest replicas. */
  readonly min: number;
  /** All arms at their most replicas. */
  readonly max: number;
  /** More while every arm is updated; 0 of an update that ends a replica first. */
  readonly surge: number;
}

/** Needs of a model in its environment. */
export function modelNeed(
  spec: ModelSpec,
  environment: Environment,
  name: QuotaName,
): ResourceNeed {
  const filled = withDefaultGpus(spec, environment);
  const { full, updating } = needOf(filled, environment, name);
  const [stable, ...candidates] = filled.arms.map((arm) => ({
    ...arm,
    scaling: { ...arm.scaling, maxReplicas: arm.scaling.minReplicas },
  }));
  const fewest =
    stable === undefined ? filled : { ...filled, arms: [stable, ...candidates] as const };
  const surge = updateStrategyOf(filled, environment) === 'surge' ? updating - full : 0;
  return { min: needOf(fewest, environment, name).full, max: full, surge };
}

/** What all models of an environment need; for resources with a quota. */
export type Capacity = Readonly<Partial<Record<QuotaName, Pick<ResourceNeed, 'min' | 'max'>>>>;

export function capacityOf(specs: readonly ModelSpec[], environment: Environment): Capacity {
  const limited = RESOURCES.filter((name) => quotaOf(environment, name) !== undefined);
  const entries = limited.map((name) => {
    const needs = specs.map((spec) => modelNeed(spec, environment, name));
    const sum = (key: 'min' | 'max'): number => needs.reduce((total, need) => total + need[key], 0);
    return [name, { min: sum('min'), max: sum('max') }] as const;
  });
  return Object.fromEntries(entries);
}
