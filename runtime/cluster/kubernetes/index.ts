export type { KubernetesOptions } from './kubernetes-cluster';
export { createKubernetesCluster } from './kubernetes-cluster';
