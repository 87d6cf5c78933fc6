import type { Arm } from '../spec';
import { armObjectName, kubernetesMinor } from '../spec';
import type { Context } from './context';
import type { KubeObject } from './kube';
import { kubeObject } from './kube';
import { metadataOf, selectorOf } from './labels';

/** From this version the eviction policy for unready pods is stable. */
const EVICTION_POLICY_MINOR = 31;

/**
 * A drain may evict one replica at a time; an arm of one replica has no budget, which would block
 * drains.
 */
export function disruptionBudget(context: Context, arm: Arm): KubeObject | undefined {
  if (arm.scaling.maxReplicas < 2) return undefined;
  const { spec, environment } = context;
  const name = armObjectName(spec.id, arm.name);
  return kubeObject('PodDisruptionBudget', metadataOf(context, name, arm), {
    spec: {
      maxUnavailable: 1,
      selector: { matchLabels: selectorOf(spec, arm) },
      // A replica that serves no callers must not block the drain of its node.
      ...(kubernetesMinor(environment) >= EVICTION_POLICY_MINOR && {
        unhealthyPodEvictionPolicy: 'AlwaysAllow',
      }),
    },
  });
}
