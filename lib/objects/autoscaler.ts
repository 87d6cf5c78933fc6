import type { k8s } from 'cdk8s-plus-28';
import type { Arm, Environment } from '../spec';
import { armObjectName, kubernetesMinor } from '../spec';
import type { Context } from './context';
import type { KubeObject, Plain } from './kube';
import { API_VERSIONS, kubeObject } from './kube';
import { metadataOf, selectorOf } from './labels';

/**
 * From this version the API server accepts `minReplicas: 0` by default; before it, the service
 * scales to zero.
 */
const SCALE_TO_ZERO_MINOR = 37;

/**
 * Metrics that the service serves to autoscalers, by arm and summed over the routers: requests at
 * replicas plus waiting ones (without which a sleeping arm would never wake), and waiting ones
 * alone.
 */
export const CONCURRENCY_METRIC = 'ai_model_concurrency';
export const QUEUE_METRIC = 'ai_model_queue_depth';

/** Whether autoscalers of this cluster scale to zero themselves; otherwise the service does it. */
export function rendersZero(environment: Environment): boolean {
  return kubernetesMinor(environment) >= SCALE_TO_ZERO_MINOR;
}

/**
 * Up at once, at most doubling (or by 4) every 15 s; down slowly, since loading a model is
 * expensive.
 */
function behavior(windowSeconds: number): Plain<k8s.HorizontalPodAutoscalerBehaviorV2> {
  return {
    scaleUp: {
      stabilizationWindowSeconds: 0,
      selectPolicy: 'Max',
      policies: [
        { type: 'Percent', value: 100, periodSeconds: 15 },
        { type: 'Pods', value: 4, periodSeconds: 15 },
      ],
    },
    scaleDown: {
      stabilizationWindowSeconds: windowSeconds,
      policies: [{ type: 'Percent', value: 10, periodSeconds: 60 }],
    },
  };
}

function metrics({ spec }: Context, arm: Arm, fewest: number): readonly Plain<k8s.MetricSpecV2>[] {
  const { targetCpuUtilization, targetConcurrency } = arm.scaling;
  const cpu: Plain<k8s.MetricSpecV2> = {
    type: 'Resource',
    resource: {
      name: 'cpu',
      target: { type: 'Utilization', averageUtilization: targetCpuUtilization },
    },
  };
  if (targetConcurrency === undefined) return [cpu];
  // Quantities have no decimal point in canonical form: 2.5 is 2500m.
  const averageValue = Number.isInteger(targetConcurrency)
    ? String(targetConcurrency)
    : `${Math.round(targetConcurrency * 1000)}m`;
  const external: Plain<k8s.MetricSpecV2> = {
    type: 'External',
    external: {
      metric: { name: CONCURRENCY_METRIC, selector: { matchLabels: selectorOf(spec, arm) } },
      target: { type: 'AverageValue', averageValue },
    },
  };
  // An idle replica uses some CPU, which rounds up to one replica: with the CPU metric no arm
  // reaches zero.
  return fewest === 0 ? [external] : [cpu, external];
}

/**
 * Every arm has an autoscaler, also with min = max: it then holds the count, and a change from a
 * fixed to a variable count causes no outage (a Deployment that loses its `replicas` field falls
 * back to 1).
 */
export function autoscaler(context: Context, arm: Arm): KubeObject {
  const name = armObjectName(context.spec.id, arm.name);
  const { minReplicas, maxReplicas, scaleDownWindowSeconds } = arm.scaling;
  const fewest = Math.max(minReplicas, rendersZero(context.environment) ? 0 : 1);
  return kubeObject('HorizontalPodAutoscaler', metadataOf(context, name, arm), {
    spec: {
      scaleTargetRef: { apiVersion: API_VERSIONS.Deployment, kind: 'Deployment', name },
      minReplicas: fewest,
      maxReplicas,
      metrics: metrics(context, arm, fewest),
      behavior: behavior(scaleDownWindowSeconds),
    },
  });
}
