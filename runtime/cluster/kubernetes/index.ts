export type { KubernetesOptions } from './kubernetes-cluster';
export type { LiveReader } from './live-comparison';
export { openLiveReader } from './live-comparison';
export { createKubernetesCluster } from './kubernetes-cluster';
