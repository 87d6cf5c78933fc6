import { kubectl } from './kubectl';

/** Does the API server take autoscalers that go down to 0? */
export async function takesZero(namespace: string): Promise<boolean> {
  const target = { type: 'AverageValue', averageValue: '1' };
  const autoscaler = {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: { name: 'zero', namespace },
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'x' },
      minReplicas: 0,
      maxReplicas: 1,
      metrics: [{ type: 'External', external: { metric: { name: 'm' }, target } }],
    },
  };
  const args = ['create', '--dry-run=server', '-f', '-'];
  return kubectl(args, JSON.stringify(autoscaler)).then(
    () => true,
    () => false,
  );
}
