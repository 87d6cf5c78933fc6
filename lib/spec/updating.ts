import type { Arm } from './arms';
import type { Environment } from './environment';
import type { ModelSpec } from './parse';
import { quantityValue } from './quantity';
import { gpuOf } from './resources';
import type { UpdateStrategy } from './updatestrategies';

/** Larger arms roll in quarters; one by one would take too long. */
const SURGE_BY_ONE_UP_TO = 4;
const SURGE_PERCENT = 25;

/** `maxSurge` of a rolling update. */
export function maxSurgeOf({ scaling }: Arm): number | string {
  return scaling.maxReplicas > SURGE_BY_ONE_UP_TO ? `${SURGE_PERCENT}%` : 1;
}

/** Pods that an update starts before it ends others; Kubernetes rounds up. */
function surgePods(arm: Arm): number {
  return arm.scaling.maxReplicas > SURGE_BY_ONE_UP_TO
    ? Math.ceil((arm.scaling.maxReplicas * SURGE_PERCENT) / 100)
    : 1;
}

export type QuotaName = 'gpu' | 'cpu' | 'memory';

/** The quota of an environment as a number; undefined without one. */
export function quotaOf({ quota }: Environment, name: QuotaName): number | undefined {
  const given = quota[name];
  return typeof given === 'string' ? quantityValue(given) : given;
}

function perReplica({ resources }: Arm, { defaultResources }: Environment, name: QuotaName) {
  if (name === 'gpu') return gpuOf(resources)?.count ?? 0;
  return quantityValue(resources[name] ?? defaultResources[name]);
}

export interface Need {
  /** All arms at their maximum. */
  readonly full: number;
  /** The same while every arm is updated by surge. */
  readonly updating: number;
}

export function needOf({ arms }: ModelSpec, environment: Environment, name: QuotaName): Need {
  const sum = (pods: (arm: Arm) => number): number =>
    arms.reduce((total, arm) => total + pods(arm) * perReplica(arm, environment, name), 0);
  const full = sum(({ scaling }) => scaling.maxReplicas);
  return { full, updating: full + sum(surgePods) };
}

const QUOTAS: readonly QuotaName[] = ['gpu', 'cpu', 'memory'];

/** Resources whose quota has room for all replicas, but not for one more during an update. */
export function quotasWithoutSurge(spec: ModelSpec, environment: Environment): QuotaName[] {
  return QUOTAS.filter((name) => {
    const quota = quotaOf(environment, name);
    const { full, updating } = needOf(spec, environment, name);
    return quota !== undefined && full <= quota && updating > quota;
  });
}

/** The definition's strategy; else the one that the environment's quota has room for. */
export function updateStrategyOf(spec: ModelSpec, environment: Environment): UpdateStrategy {
  if (spec.updateStrategy !== undefined) return spec.updateStrategy;
  return quotasWithoutSurge(spec, environment).length > 0 ? 'replace' : 'surge';
}
