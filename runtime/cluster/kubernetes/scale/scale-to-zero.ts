import { MANAGER } from '../../../../lib/objects';
import { CONCURRENCY_METRIC } from '../../../../lib/objects/autoscaler';
import type { KubeApi, KubeObject } from '../client/api';
import { KubeError } from '../client/api-error';
import { apiVersionOf, RESOURCES } from '../client/resources';

/** Whether the API server accepts an autoscaler with `minReplicas: 0`. */
export type ScaleToZeroSupport = 'allowed' | 'refused' | 'may not ask' | 'no answer';

const INVALID = 422;

/** The autoscaler of the dry run. `minReplicas: 0` requires an external metric. */
function question(namespace: string): KubeObject {
  const { HorizontalPodAutoscaler, Deployment } = RESOURCES;
  const name = `${MANAGER}-asks-for-zero`;
  return {
    apiVersion: apiVersionOf(HorizontalPodAutoscaler),
    kind: HorizontalPodAutoscaler.kind,
    metadata: { name, namespace },
    spec: {
      scaleTargetRef: { apiVersion: apiVersionOf(Deployment), kind: Deployment.kind, name },
      minReplicas: 0,
      maxReplicas: 1,
      metrics: [
        {
          type: 'External',
          external: {
            metric: { name: CONCURRENCY_METRIC },
            target: { type: 'AverageValue', averageValue: '1' },
          },
        },
      ],
    },
  };
}

/**
 * Checks by a dry run, because `minReplicas: 0` depends on a feature gate and not only on the
 * version. In gitops mode the Role does not allow it.
 */
export async function probeScaleToZero(
  api: Pick<KubeApi, 'create'>,
  namespace: string,
): Promise<ScaleToZeroSupport> {
  try {
    await api.create(question(namespace), { manager: MANAGER, dryRun: true });
    return 'allowed';
  } catch (error) {
    if (!(error instanceof KubeError)) throw error;
    const isAboutIt = error.causes.some(({ field }) => field.endsWith('minReplicas'));
    if (error.status === INVALID && isAboutIt) return 'refused';
    return error.kind === 'status' && error.status < 500 ? 'may not ask' : 'no answer';
  }
}
