// A separate module: a lazy `require` of client-node would bundle its 5 MB of generated clients.
export { KubeConfig } from '@kubernetes/client-node';
