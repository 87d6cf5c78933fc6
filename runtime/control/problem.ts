import type { Fault } from '../../lib/spec';
import type { Plan } from '../../lib/plan/schema';
import { DefinitionError, formatFault, inForm, modelSchema } from '../../lib/spec';
import { ClusterError } from '../cluster/port';
import type { ErrorCode } from '../core/routing/error-codes';
import { ERROR_STATUS, wantsRetryAfter } from '../core/routing/error-codes';

/** Seconds after which a full or unreachable cluster may be tried again. */
const RETRY_AFTER_SECONDS = 5;

/** An error response. The caller sees only code, message and details. */
export class Problem extends Error {
  override readonly name = 'Problem';
  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly details: readonly unknown[] = [],
    readonly headers: Readonly<Record<string, string>> = {},
    /** What the refused change would mean. */
    readonly plan?: Plan,
  ) {
    super(message);
  }
}

function textOf(faults: readonly Fault[]): string {
  return faults.map((found) => formatFault(found)).join('\n');
}

/** An invalid request: paths are those of the body or query as the caller wrote it. */
export function invalidRequest(faults: readonly Fault[]): Problem {
  return new Problem('INVALID_REQUEST', textOf(faults), faults);
}

/**
 * An invalid definition. REST uses the wire form, whatever form the merged definition was parsed
 * in.
 */
function invalidModel(error: DefinitionError): Problem {
  const faults = error.faults.map((found) => inForm(found, modelSchema, 'wire'));
  return new Problem('INVALID_MODEL_CONFIG', textOf(faults), faults);
}

/** Maps an error to a response; undefined for an internal error, which is logged, not shown. */
export function tryProblemOf(error: unknown): Problem | undefined {
  if (error instanceof Problem) return error;
  if (error instanceof DefinitionError) return invalidModel(error);
  if (error instanceof ClusterError) {
    return new Problem(error.code, error.message, error.details, {}, error.plan);
  }
  return undefined;
}

/** Response to an internal error: names the request id for the log. */
export function internalProblem(requestId: string): Problem {
  return new Problem(
    'INTERNAL',
    `internal error of the service; its log has the cause under request id ${requestId}`,
  );
}

export function statusOfProblem({ code }: Problem): number {
  return ERROR_STATUS[code];
}

export function headersOfProblem({ code, headers }: Problem): Readonly<Record<string, string>> {
  return wantsRetryAfter(code)
    ? { 'retry-after': String(RETRY_AFTER_SECONDS), ...headers }
    : headers;
}

/** The error body of the management API. */
export function problemBody({ code, message, details, plan }: Problem, now: number): object {
  return {
    status: 'error',
    error: { code, message, details, ...(plan !== undefined && { plan }) },
    timestamp: new Date(now).toISOString(),
  };
}
