import type { Metadata, ServiceError } from '@grpc/grpc-js';
import type { Refusal } from '../transcode/refusal';
import type { Origin } from '../upstream/headers';
import type { Tracing } from '../upstream/tracing';

// google.rpc.Code for what HTTP callers get a status for: there is one table of errors, and gRPC
// reads it too.

const INTERNAL = 13;

/** https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto, by HTTP status. */
const CODES: Readonly<Partial<Record<number, number>>> = {
  400: 3, // INVALID_ARGUMENT
  401: 16, // UNAUTHENTICATED
  403: 7, // PERMISSION_DENIED
  404: 5, // NOT_FOUND
  405: 12, // UNIMPLEMENTED
  409: 10, // ABORTED
  412: 9, // FAILED_PRECONDITION
  413: 8, // RESOURCE_EXHAUSTED
  415: 3, // INVALID_ARGUMENT
  429: 8, // RESOURCE_EXHAUSTED
  500: INTERNAL,
  501: 12, // UNIMPLEMENTED
  502: 14, // UNAVAILABLE
  503: 14, // UNAVAILABLE
  504: 4, // DEADLINE_EXCEEDED
};

/** Another try would get the same nonsense: clients must not take it for a server that is away. */
function codeOf({ code, status }: Pick<Refusal, 'code' | 'status'>): number {
  if (code === 'UPSTREAM_PROTOCOL_ERROR') return INTERNAL;
  return CODES[status] ?? INTERNAL;
}

/** Metadata of every response. */
export function setOwn(metadata: Metadata, { requestId, traceparent }: Tracing, origin?: Origin) {
  metadata.set('x-request-id', requestId);
  if (traceparent !== undefined) metadata.set('traceparent', traceparent);
  if (origin === undefined) return metadata;
  metadata.set('x-ai-model-version', origin.version);
  metadata.set('x-ai-model-arm', origin.arm);
  return metadata;
}

/** Longer texts are not messages; a header that is too long ends the call without any. */
const MAX_DETAILS = 2000;

/** Replaces lone surrogates, which a header cannot hold. */
const wellFormed = (text: string): string => Buffer.from(text).toString();

/** @param metadata empty; becomes the trailing metadata */
export function statusOf(
  refusal: Refusal,
  tracing: Tracing,
  metadata: Metadata,
): Pick<ServiceError, 'code' | 'details' | 'metadata'> {
  setOwn(metadata, tracing);
  const { retryAfterSeconds } = refusal;
  if (retryAfterSeconds !== undefined) metadata.set('retry-after', String(retryAfterSeconds));
  for (const line of refusal.more.headers?.split('\r\n') ?? []) {
    const colon = line.indexOf(': ');
    if (colon > 0) metadata.set(line.slice(0, colon), line.slice(colon + 2));
  }
  return {
    code: codeOf(refusal),
    details: wellFormed(refusal.message.slice(0, MAX_DETAILS)),
    metadata,
  };
}
