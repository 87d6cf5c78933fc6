import type { z } from 'zod';
import type { Caller, Scope } from '../auth';
import type { ErrorCode } from '../core/routing/error-codes';
import type { ControlContext } from './context';
import type { LogLevel } from './timed-level';

export type Method = 'get' | 'post' | 'put' | 'delete';

/** Actions of changes, as audit and metrics name them. */
export type ChangeAction =
  | 'deploy'
  | 'update'
  | 'scale'
  | 'delete'
  | 'rollback'
  | 'traffic'
  | 'promote'
  | 'abort'
  | 'rollout_hold'
  | 'rollout_resume'
  | 'rollout_advance'
  | 'rollout_abort'
  | 'log_level';

/** A request after all checks that do not need the cluster. */
export interface CallRequest<B, Q> {
  /** The model in the path; `''` when the path has none. */
  readonly id: string;
  readonly body: B;
  readonly query: Q;
  readonly caller: Caller;
  readonly requestId: string;
  /** Value of `If-Match`. */
  readonly ifMatch: string | undefined;
  /** `https://host:port` as the caller addressed the service. */
  readonly origin: string;
}

export interface CallResponse {
  readonly status: number;
  readonly body: object;
  readonly headers?: Readonly<Record<string, string>>;
  /** For the audit. */
  readonly model?: string;
  readonly revision?: number;
}

/** Parts of a body that the audit has. */
export interface RecordedParts {
  /** Of a call without `{id}`; not checked. */
  readonly model?: unknown;
  readonly level?: LogLevel;
}

/** Required scope, or `open` for everyone. */
export type CallAccess = Scope | 'open';

/** One call of the API; routing, checks, documentation and audit derive from it. */
export interface ApiCall<B = unknown, Q = unknown> {
  readonly method: Method;
  /** `/api/v1/models/{id}/scale` */
  readonly path: string;
  /** A second, undocumented path. */
  readonly alias?: string;
  readonly access: CallAccess;
  /** Present for calls that change something. */
  readonly action?: ChangeAction;
  /** Parts of a body for the audit, also where the call is refused. */
  readonly recordOf?: (body: B) => RecordedParts;
  /** Does a change reduce a risk? It is made even while no record can be written. */
  readonly isRelief?: (context: ControlContext, request: CallRequest<B, Q>) => boolean;
  readonly tag: 'Models' | 'Traffic' | 'Health';
  readonly summary: string;
  readonly description?: string;
  readonly body?: z.ZodType<B>;
  readonly query?: z.ZodObject & z.ZodType<Q>;
  /** Supports `If-Match`. */
  readonly conditional?: true;
  /** Status → schema of the response. */
  readonly answers: Readonly<Record<number, z.ZodType>>;
  /** Errors of this call beside the common ones. */
  readonly errors: readonly ErrorCode[];
  readonly handle: (
    context: ControlContext,
    request: CallRequest<B, Q>,
  ) => Promise<CallResponse> | CallResponse;
}

/** Checks the handler against the types of body and query, then erases them for the list. */
export function defineCall<B, Q>(call: ApiCall<B, Q>): ApiCall {
  return call as unknown as ApiCall;
}

/** Errors that follow from the shape of a call: its key, model, body and query. */
export function commonErrors({ access, action, path, body, query }: ApiCall): readonly ErrorCode[] {
  return [
    ...(access === 'open'
      ? []
      : (['UNAUTHENTICATED', 'FORBIDDEN', 'CLUSTER_UNAVAILABLE'] as const)),
    ...(path.includes('{id}') ? (['MODEL_NOT_FOUND', 'CLUSTER_UNAVAILABLE'] as const) : []),
    ...(body === undefined
      ? []
      : (['INVALID_REQUEST', 'PAYLOAD_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE'] as const)),
    ...(query === undefined ? [] : (['INVALID_REQUEST'] as const)),
    ...(action === undefined ? [] : (['AUDIT_UNAVAILABLE'] as const)),
    'INTERNAL',
  ];
}
