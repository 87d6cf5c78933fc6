import {
  ERROR_STATUS,
  FAILURE_CODE,
  SHED_CODE,
  statusOfAttempt,
  wantsRetryAfter,
} from '../../../runtime/core/routing/error-codes';

test('every code has its documented status', () => {
  expect(ERROR_STATUS).toMatchInlineSnapshot(`
   {
     "AUDIT_UNAVAILABLE": 503,
     "CLUSTER_UNAVAILABLE": 503,
     "DEPLOYMENT_FAILED": 500,
     "FIELD_CONFLICT": 409,
     "FORBIDDEN": 403,
     "INFERENCE_TIMEOUT": 504,
     "INSUFFICIENT_RESOURCES": 503,
     "INTERNAL": 500,
     "INVALID_MODEL_CONFIG": 400,
     "INVALID_REQUEST": 400,
     "METHOD_NOT_ALLOWED": 405,
     "MODEL_ALREADY_EXISTS": 409,
     "MODEL_NOT_FOUND": 404,
     "NOT_FOUND": 404,
     "NOT_IMPLEMENTED": 501,
     "NO_READY_REPLICA": 503,
     "PAYLOAD_TOO_LARGE": 413,
     "QUEUE_FULL": 503,
     "RATE_LIMITED": 429,
     "READ_ONLY": 409,
     "REQUEST_TIMEOUT": 408,
     "REVISION_CONFLICT": 412,
     "UNAUTHENTICATED": 401,
     "UNSUPPORTED_MEDIA_TYPE": 415,
     "UPSTREAM_ERROR": 502,
     "UPSTREAM_PROTOCOL_ERROR": 502,
   }
  `);
});

test('a refusal for lack of capacity is a 503 with Retry-After', () => {
  for (const code of new Set(Object.values(SHED_CODE))) {
    expect(wantsRetryAfter(code)).toBe(code !== 'MODEL_NOT_FOUND');
  }
  expect(wantsRetryAfter('RATE_LIMITED')).toBe(true);
  expect(wantsRetryAfter('UPSTREAM_ERROR')).toBe(false);
});

test('a failed attempt has a status', () => {
  expect(statusOfAttempt({ kind: 'answered', status: 418 })).toBe(418);
  expect(statusOfAttempt({ kind: 'aborted' })).toBe(499);
  expect(statusOfAttempt({ kind: 'rejected', status: 413, error: new Error() })).toBe(413);
  expect(statusOfAttempt({ kind: 'timeout' })).toBe(504);
  expect(statusOfAttempt({ kind: 'unreached', message: '' })).toBe(502);
  expect(FAILURE_CODE.protocol).toBe('UPSTREAM_PROTOCOL_ERROR');
});
