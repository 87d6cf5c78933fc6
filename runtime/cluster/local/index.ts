export * from './cluster';
export { fileInside } from './plan';
export type { SpawnServer } from './plan';
export type { Endpoints } from './runner';
