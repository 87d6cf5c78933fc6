import { MANAGER } from '../../../../lib/objects';
import type { Rescaling } from '../../port';
import { ClusterError } from '../../port';
import type { KubeApi, KubeObject } from '../client/api';
import { retryOnConflict } from '../client/request-retry';
import { RESOURCES } from '../client/resources';

/** Current replicas; Kubernetes' default is 1. */
function replicasOf({ spec }: KubeObject): number {
  return (spec as { readonly replicas?: number } | undefined)?.replicas ?? 1;
}

function gone(name: string): ClusterError {
  return new ClusterError(
    'NOT_FOUND',
    `there is no Deployment ${name}; apply its definition again, then it can be scaled`,
  );
}

function overtaken(name: string, from: number, got: number): ClusterError {
  return new ClusterError(
    'REVISION_CONFLICT',
    `Deployment ${name} has ${got} replicas by now, not ${from}; read it again, then decide`,
  );
}

/**
 * Scales a Deployment unless it was scaled meanwhile: a leader that puts a model to sleep must not
 * undo a concurrent wake.
 * @throws ClusterError NOT_FOUND, REVISION_CONFLICT; KubeError when the API server refuses
 */
export async function rescale(
  api: Pick<KubeApi, 'get' | 'patch'>,
  namespace: string,
  name: string,
  { from, to }: Rescaling,
): Promise<void> {
  const { Deployment } = RESOURCES;
  const options = { manager: MANAGER, subresource: 'scale' } as const;
  // While a Deployment rolls, each change of its status is a new resourceVersion.
  await retryOnConflict(async () => {
    const found = await api.get(Deployment, namespace, name);
    if (found === undefined) throw gone(name);
    const replicas = replicasOf(found);
    if (replicas === to) return;
    if (replicas !== from) throw overtaken(name, from, replicas);
    const { resourceVersion } = found.metadata;
    const patch = { metadata: { resourceVersion }, spec: { replicas: to } };
    await api.patch(Deployment, namespace, name, patch, options);
  });
}
