import { ClusterError } from '../../port';
import type { KubeError, StatusCause } from '../client/api-error';
import { ownerConflicts } from '../client/api-error';

/** `conflict with "kubectl-edit" using apps/v1` → `kubectl-edit`. */
function managerIn({ message }: StatusCause): string {
  return /conflict with "([^"]+)"/.exec(message)?.[1] ?? message;
}

function fieldConflict(what: string, causes: readonly StatusCause[]): ClusterError {
  const fields = causes.map((cause) => `${cause.field} (${managerIn(cause)})`);
  const details = causes.map((cause) => ({
    object: what,
    field: cause.field,
    manager: managerIn(cause),
  }));
  return new ClusterError(
    'FIELD_CONFLICT',
    `${what}: other managers own fields that this would change: ${fields.join(', ')}; release them there, or take them over with force=true`,
    details,
  );
}

function forbidden(what: string, message: string): ClusterError {
  if (/exceeded quota|failed quota/.test(message)) {
    return new ClusterError(
      'INSUFFICIENT_RESOURCES',
      `${what}: the namespace's quota does not allow it: ${message}; remove something, or have the quota raised`,
    );
  }
  if (/admission webhook|ValidatingAdmissionPolicy/.test(message)) {
    return new ClusterError(
      'INVALID_MODEL_CONFIG',
      `${what}: the cluster's policy refuses it: ${message}; change the definition, or ask the owner of the policy`,
    );
  }
  return new ClusterError(
    'DEPLOYMENT_FAILED',
    `${what}: the service may not do that: ${message}; apply the Role of this version of the service again`,
  );
}

/** `minReplicas: 0` needs a feature gate, so the version alone does not decide it. */
const isAboutZero = ({ field, message }: StatusCause): boolean =>
  field.endsWith('minReplicas') && /Invalid value: 0\b/.test(message);

const mendOf = (causes: readonly StatusCause[]): string =>
  causes.some(isAboutZero)
    ? 'autoscalers of this cluster do not go down to 0: set kubernetesVersion of the environment below 1.37, and the service puts models to sleep itself'
    : 'change the definition (overrides are the usual reason)';

function invalid(what: string, message: string, causes: readonly StatusCause[]): ClusterError {
  return new ClusterError(
    'INVALID_MODEL_CONFIG',
    `${what}: the API server refuses it: ${message}; ${mendOf(causes)}`,
    causes.map(({ field, message: text }) => ({ object: what, field, message: text })),
  );
}

/** Maps an error of the API server. `what`: e.g. `Deployment/iris`. */
export function clusterErrorOf(what: string, error: KubeError): ClusterError {
  const { kind, status, message, causes } = error;
  // No request was sent: the message names the faulty kubeconfig or credentials.
  if (kind === 'access') return new ClusterError('CLUSTER_UNAVAILABLE', message);
  if (kind === 'contention') {
    return new ClusterError(
      'CLUSTER_UNAVAILABLE',
      `${what}: other writers were faster each time (${message}); try again later`,
    );
  }
  const owners = ownerConflicts(error);
  if (owners.length > 0) return fieldConflict(what, owners);
  if (kind !== 'status' || status === 401 || status === 429 || status >= 500) {
    return new ClusterError(
      'CLUSTER_UNAVAILABLE',
      `${what}: the API server does not answer as it should (${message}); try again later`,
    );
  }
  if (status === 403) return forbidden(what, message);
  if (status === 400 || status === 422) return invalid(what, message, causes);
  if (status === 404) {
    return new ClusterError(
      'DEPLOYMENT_FAILED',
      `${what}: namespace or API not found (${message}); create the namespace, or install the CRD of this kind`,
    );
  }
  return new ClusterError(
    'REVISION_CONFLICT',
    `${what}: it was changed at the same moment (${message}); read it again, then change it`,
  );
}
