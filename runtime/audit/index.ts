export * from './audit';
export type { AuditClock, SinkFault } from './audit-writer';
export { readChainKey } from './chain';
export type { AuditEntry } from './entry';
