export { createDispatcher } from './dispatch';
export type { DispatcherOptions, DispatcherParts } from './dispatch';
export type { DataPlane } from './handler';
export { createDataPlane } from './handler';
export { nodeExchange } from './http/node';
export type { DataPlaneOptions } from './request';
export type { ShadowReport } from './shadow';
export { createUpstream } from './upstream';
