export * from './cluster';
export type { FetchSource } from './loads';
export type { SpawnServer } from './plan';
export type { Endpoints } from './runner';
export { besideInside, fileInside, isNoModel } from './inside';
