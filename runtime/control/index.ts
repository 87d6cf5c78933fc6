export type { Control } from './control';
export { createControl } from './control';
export type { EventLoop } from './eventloop';
export { openApiDocument } from './openapi/document';
export type { BrokenFile, Clock, ControlOptions, Log, Routers } from './ports';
export { ALONE } from './ports';
