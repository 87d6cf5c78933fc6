export * from './local-cluster';
export type { FetchSource } from './loads';
export type { SpawnServer } from './replica-plan';
export type { EndpointAddresses } from './runner';
export { besideInside, fileInside, isNotAModel } from './artifact-path';
