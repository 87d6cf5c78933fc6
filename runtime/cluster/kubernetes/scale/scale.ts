import type { ModelSpec } from '../../../../lib/spec';
import { armObjectName } from '../../../../lib/spec';
import { MANAGER } from '../../../../lib/objects';
import type { KubeApi, KubeObject } from '../client/api';
import { numberAt } from '../client/object-fields';
import { RESOURCES } from '../client/resources';

/** A Deployment and how many replicas it should have instead. */
export interface Scaling {
  readonly name: string;
  readonly replicas: number;
}

const replicasOf = (deployment: KubeObject): number =>
  numberAt(deployment, 'spec', 'replicas') ?? 1;

/** Scales all to 0; an autoscaler ignores a Deployment with 0 replicas. */
export function stopping(deployments: readonly KubeObject[]): readonly Scaling[] {
  return deployments
    .filter((deployment) => replicasOf(deployment) !== 0)
    .map(({ metadata: { name } }) => ({ name, replicas: 0 }));
}

/**
 * Restores the minimum, from which the autoscaler continues. An arm with a minimum of 0 is woken by
 * its first request.
 */
export function starting(spec: ModelSpec, deployments: readonly KubeObject[]): readonly Scaling[] {
  return spec.arms.flatMap((arm) => {
    const name = armObjectName(spec.id, arm.name);
    const found = deployments.find(({ metadata }) => metadata.name === name);
    const { minReplicas: replicas } = arm.scaling;
    if (found === undefined || replicasOf(found) !== 0 || replicas === 0) return [];
    return [{ name, replicas }];
  });
}

export async function scaleTo(
  api: KubeApi,
  namespace: string,
  wanted: readonly Scaling[],
): Promise<void> {
  const options = { manager: MANAGER, subresource: 'scale' } as const;
  for (const { name, replicas } of wanted)
    await api.patch(RESOURCES.Deployment, namespace, name, { spec: { replicas } }, options);
}
