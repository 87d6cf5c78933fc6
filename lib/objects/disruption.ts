import type { Arm } from '../spec';
import { armObjectName, kubernetesMinor } from '../spec';
import type { Context } from './context';
import type { KubeObject } from './kube';
import { kubeObject } from './kube';
import { metadataOf, selectorOf } from './labels';

/** From here on the policy for pods that are not ready is stable. */
const EVICTION_POLICY_MINOR = 31;

/** One replica at a time may be taken by drains; none for an arm of one, where it would only block them. */
export function disruptionBudget(context: Context, arm: Arm): KubeObject | undefined {
  if (arm.scaling.maxReplicas < 2) return undefined;
  const { spec, environment } = context;
  const name = armObjectName(spec.id, arm.name);
  return kubeObject('PodDisruptionBudget', metadataOf(context, name, arm), {
    spec: {
      maxUnavailable: 1,
      selector: { matchLabels: selectorOf(spec, arm) },
      // A replica without callers must not keep a node from being drained.
      ...(kubernetesMinor(environment) >= EVICTION_POLICY_MINOR && {
        unhealthyPodEvictionPolicy: 'AlwaysAllow',
      }),
    },
  });
}
