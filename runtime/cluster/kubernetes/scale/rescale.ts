import { MANAGER } from '../../../../lib/objects';
import type { Rescaling } from '../../port';
import { ClusterError } from '../../port';
import type { KubeApi, KubeObject } from '../client/api';
import { KubeError } from '../client/api-error';
import { RESOURCES } from '../client/resources';

/** A Deployment's status changes while it rolls, and each change is a new resourceVersion. */
const TRIES = 3;
const CONFLICT = 409;

/** What it has now; Kubernetes' own default where nobody said anything. */
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
    `Deployment ${name} has ${got} replicas by now, not ${from}; look again, then decide`,
  );
}

const isConflict = (error: unknown): boolean =>
  error instanceof KubeError && error.status === CONFLICT;

/**
 * Gives a Deployment another number of replicas, unless somebody else did since it was looked at:
 * a leader that puts to sleep must not undo what a request has just woken.
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
  for (let tries = 1; ; tries += 1) {
    const found = await api.get(Deployment, namespace, name);
    if (found === undefined) throw gone(name);
    const replicas = replicasOf(found);
    if (replicas === to) return;
    if (replicas !== from) throw overtaken(name, from, replicas);
    const { resourceVersion } = found.metadata;
    const patch = { metadata: { resourceVersion }, spec: { replicas: to } };
    try {
      await api.patch(Deployment, namespace, name, patch, options);
      return;
    } catch (error) {
      if (!isConflict(error) || tries === TRIES) throw error;
    }
  }
}
