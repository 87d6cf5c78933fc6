export type { ShadowResult } from './arm';
export { contract } from './families';
export * from './metrics';
export type { BatchStatus } from './model';
export { usageOf } from './model';
export type { Observation } from './observation';
export { OPENMETRICS_TYPE, TEXT_TYPE, textTypeOf } from './print';
export { observeProcess } from './process';
export type { AuditCounts, EngineCounts } from './service';
