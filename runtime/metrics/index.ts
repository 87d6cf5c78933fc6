export { contract } from './families';
export * from './metrics';
export { usageOf } from './model';
export type { Observation } from './observation';
export { textTypeOf } from './print';
export { observeProcess } from './process';
export type { AuditCounts, EngineCounts, TlsCounts } from './service';
