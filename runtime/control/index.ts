export type { Control } from './control-plane';
export { createControl } from './control-plane';
export type { EventLoop } from './event-loop';
export { openApiDocument } from './openapi/document';
export type { BrokenFile, Clock, ControlOptions, Log, Routers } from './ports';
export { ALONE } from './ports';
