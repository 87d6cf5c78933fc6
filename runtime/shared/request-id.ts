import { randomUUID } from 'node:crypto';

/**
 * Request ids of callers that are accepted: they go into headers, logs and the audit record
 * unchanged.
 */
const SANE_REQUEST_ID = /^[\w.:/+=@][\w.:/+=@-]{0,127}$/;
/** https://www.w3.org/TR/trace-context/#traceparent-header; ids of zeros are invalid, so is ff. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The caller's id when it is accepted, else a new one. */
export function requestIdOf(given: string | undefined, newId: () => string = randomUUID): string {
  return given !== undefined && SANE_REQUEST_ID.test(given) ? given : newId();
}

/** The caller's trace context when it is valid. */
export function traceparentOf(given: string | undefined): string | undefined {
  return given !== undefined && TRACEPARENT.test(given) ? given : undefined;
}
