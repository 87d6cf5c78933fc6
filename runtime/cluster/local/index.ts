export * from './local-cluster';
export type { FetchSource } from './loads';
export type { SpawnServer } from './replica-plan';
export { besideInside, fileInside, isNotAModel } from './artifact-path';
