export * from './local-cluster';
export type { FetchSource } from './loads';
export type { SpawnServer } from './replica-plan';
export type { Endpoints } from './runner';
export { besideInside, fileInside, isNotAModel } from './artifact-path';
