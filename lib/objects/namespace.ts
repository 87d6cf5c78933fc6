import type { Environment } from '../spec';
import type { KubeObject } from './kube';
import { finished } from './kube';
import { MANAGER } from './labels';

/** Sorts before every model, so that `kubectl apply -f dist/` makes the namespace first. */
export const NAMESPACE_FILE = '0000-namespace.k8s.yaml';

/** The namespace of an environment, when it is to be made; it enforces the pod security of its models. */
export function namespaceOf(environment: Environment): KubeObject | undefined {
  const { namespace: name, createNamespace, podSecurity } = environment;
  if (!createNamespace) return undefined;
  const labels = {
    'app.kubernetes.io/part-of': MANAGER,
    'app.kubernetes.io/managed-by': MANAGER,
    ...(podSecurity !== 'platform' && { 'pod-security.kubernetes.io/enforce': podSecurity }),
  };
  return finished({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
}
