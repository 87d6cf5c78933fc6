import type { ErrorCode } from '../../core/routing/error-codes';
import { errorAnswer } from './error-answer';
import { Refusal } from '../transcode/refusal';
import { ownHeaders } from '../upstream/headers';
import type { WriteRefusal } from '../http/server/early-refusal';
import { protocolOfPath } from '../routing/paths';
import type { DataPlaneOptions } from './request';
import { requestIdOf } from '../../shared/request-id';

const CODES: Readonly<Record<number, ErrorCode>> = {
  408: 'REQUEST_TIMEOUT',
  413: 'PAYLOAD_TOO_LARGE',
  503: 'QUEUE_FULL',
  501: 'NOT_IMPLEMENTED',
};

/**
 * Formats errors of the HTTP engine like all others: with a request id, and in the shape of the
 * protocol that the path belongs to.
 */
export function refusalWriter({
  newId,
  clock,
}: Pick<DataPlaneOptions, 'newId' | 'clock'>): WriteRefusal {
  return ({ status, message }, { path, requestId }) => {
    const refusal = new Refusal(CODES[status] ?? 'INVALID_REQUEST', message);
    const kind = path === undefined ? undefined : protocolOfPath(path);
    const { headers, body } = errorAnswer(kind, refusal, clock.now());
    const tracing = { requestId: requestIdOf(requestId, newId), traceparent: undefined };
    return { headers: headers + ownHeaders(tracing), body };
  };
}
