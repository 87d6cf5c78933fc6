import type { ZodOpenApiResponseObject, ZodOpenApiResponsesObject } from 'zod-openapi';
import type { ErrorCode } from '../../core/routing/error-codes';
import { ERROR_STATUS, wantsRetryAfter } from '../../core/routing/error-codes';
import { errorSchema } from '../schemas';

const retryAfter = { description: 'Seconds.', schema: { type: 'integer' } } as const;
const challenge = { description: 'RFC 9110, 11.6.1.', schema: { type: 'string' } } as const;

/** The error responses of a call, by status, each with its possible codes. */
export function errorAnswers(codes: readonly ErrorCode[]): ZodOpenApiResponsesObject {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of new Set(codes)) {
    const status = ERROR_STATUS[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  const entries = [...byStatus].sort(([a], [b]) => a - b);
  const answer = (status: number, found: readonly ErrorCode[]): ZodOpenApiResponseObject => ({
    description: found.join(', '),
    content: { 'application/json': { schema: errorSchema } },
    headers: {
      ...(found.some(wantsRetryAfter) && { 'Retry-After': retryAfter }),
      ...(status === 401 && { 'WWW-Authenticate': challenge }),
    },
  });
  return Object.fromEntries(
    entries.map(([status, found]) => [String(status), answer(status, found)] as const),
  ) as ZodOpenApiResponsesObject;
}
