// A module of its own, so that the bundle has of client-node what this needs and not its 5 MB of
// generated clients: whoever loads a module when it is needed gets all of it.
export { KubeConfig } from '@kubernetes/client-node';
