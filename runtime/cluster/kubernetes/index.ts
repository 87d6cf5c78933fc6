export type { KubernetesOptions } from './cluster';
export { createKubernetesCluster } from './cluster';
