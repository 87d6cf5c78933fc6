import type { ShedReason, AttemptResult } from './outcome';

/**
 * The one table of error codes and their HTTP statuses: management, inference and health read it.
 */
export const ERROR_STATUS = {
  MODEL_NOT_FOUND: 404,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  MODEL_ALREADY_EXISTS: 409,
  READ_ONLY: 409,
  FIELD_CONFLICT: 409,
  REQUEST_TIMEOUT: 408,
  REVISION_CONFLICT: 412,
  INVALID_MODEL_CONFIG: 400,
  INVALID_REQUEST: 400,
  PAYLOAD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  /** A caller's own limit; our own lack of room is QUEUE_FULL. */
  RATE_LIMITED: 429,
  QUEUE_FULL: 503,
  NO_READY_REPLICA: 503,
  INSUFFICIENT_RESOURCES: 503,
  CLUSTER_UNAVAILABLE: 503,
  /** No change without a line in the audit record (audit.on_failure: refuse). */
  AUDIT_UNAVAILABLE: 503,
  DEPLOYMENT_FAILED: 500,
  INTERNAL: 500,
  NOT_IMPLEMENTED: 501,
  UPSTREAM_ERROR: 502,
  UPSTREAM_PROTOCOL_ERROR: 502,
  INFERENCE_TIMEOUT: 504,
} as const;

export type ErrorCode = keyof typeof ERROR_STATUS;

/** The caller disconnected first (nginx's number): appears in metrics and audit only. */
export const STATUS_ABORTED = 499;

/** Whether the response has a `Retry-After`: for 429 and 503. */
export function wantsRetryAfter(code: ErrorCode): boolean {
  const status = ERROR_STATUS[code];
  return status === 429 || status === 503;
}

/** Error code of a rejected request. A model being deleted is not found. */
export const SHED_CODE: Readonly<Record<ShedReason, ErrorCode>> = {
  queue_full: 'QUEUE_FULL',
  priority: 'QUEUE_FULL',
  deadline: 'QUEUE_FULL',
  no_replica: 'NO_READY_REPLICA',
  stopped: 'NO_READY_REPLICA',
  deleting: 'MODEL_NOT_FOUND',
};

/** An attempt that failed at the replica. */
export type FailedAttempt = Exclude<AttemptResult, { kind: 'answered' | 'aborted' | 'rejected' }>;

/** Error code of a failed request. */
export const FAILURE_CODE: Readonly<Record<FailedAttempt['kind'], ErrorCode>> = {
  unreached: 'UPSTREAM_ERROR',
  reset: 'UPSTREAM_ERROR',
  protocol: 'UPSTREAM_PROTOCOL_ERROR',
  timeout: 'INFERENCE_TIMEOUT',
};

/** Status for the caller of this attempt, or 499. */
export function statusOfAttempt(result: AttemptResult): number {
  if (result.kind === 'answered' || result.kind === 'rejected') return result.status;
  return result.kind === 'aborted' ? STATUS_ABORTED : ERROR_STATUS[FAILURE_CODE[result.kind]];
}
