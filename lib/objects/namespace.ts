import type { Environment } from '../spec';
import type { KubeObject } from './kube';
import { finished } from './kube';
import { MANAGER } from './labels';

/** Sorts before every model, so that `kubectl apply -f dist/` makes the namespace first. */
export const NAMESPACE_FILE = '0000-namespace.k8s.yaml';

/**
 * A namespace of an environment, when it is to be made; it enforces the pod security of its pods.
 * Without `name` it is that of the models.
 */
export function namespaceOf(
  environment: Environment,
  name = environment.namespace,
): KubeObject | undefined {
  const { createNamespace, podSecurity } = environment;
  if (!createNamespace) return undefined;
  const labels = {
    'app.kubernetes.io/part-of': MANAGER,
    'app.kubernetes.io/managed-by': MANAGER,
    ...(podSecurity !== 'platform' && { 'pod-security.kubernetes.io/enforce': podSecurity }),
  };
  return finished({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
}
