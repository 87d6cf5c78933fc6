export type { Control } from './control-plane';
export { createControl } from './control-plane';
export { openApiDocument } from './openapi/document';
export type { BrokenFile, ControlOptions, Routers } from './ports';
export { ALONE } from './ports';
export type { LevelSwitch, LogLevel } from './timed-level';
