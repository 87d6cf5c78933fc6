export * from './audit';
export type { AuditClock, SinkFault } from './audit-writer';
export { readChainKey } from './chain';
export type { AuditEntry } from './entry';
export type { Payload, PayloadBody, PayloadSampler } from './payload';
export { payloadSampler } from './payload';
