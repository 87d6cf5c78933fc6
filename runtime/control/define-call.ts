import type { z } from 'zod';
import type { Caller, Scope } from '../auth';
import type { ErrorCode } from '../core/routing/error-codes';
import type { ControlContext } from './context';

export type Method = 'get' | 'post' | 'put' | 'delete';

/** What may be changed, as audit and metrics name it. */
export type ChangeAction =
  'deploy' | 'update' | 'scale' | 'delete' | 'rollback' | 'traffic' | 'promote' | 'abort';

/** A request after every check that does not need the cluster. */
export interface CallRequest<B, Q> {
  /** The model in the path; `''` when the path has none. */
  readonly id: string;
  readonly body: B;
  readonly query: Q;
  readonly caller: Caller;
  readonly requestId: string;
  /** Value of `If-Match`. */
  readonly ifMatch: string | undefined;
  /** `https://host:port` as the caller reached us. */
  readonly origin: string;
}

export interface CallResponse {
  readonly status: number;
  readonly body: object;
  readonly headers?: Readonly<Record<string, string>>;
  /** For the record of changes. */
  readonly model?: string;
  readonly revision?: number;
}

/** Who may call: keys with a scope, or everyone (`open`). */
export type CallAccess = Scope | 'open';

/** One call of the API: routing, checks, documentation and audit are all made from it. */
export interface ApiCall<B = unknown, Q = unknown> {
  readonly method: Method;
  /** `/api/v1/models/{id}/scale` */
  readonly path: string;
  /** A second path that answers the same and is not in the document. */
  readonly alias?: string;
  readonly access: CallAccess;
  /** Given for calls that change something. */
  readonly action?: ChangeAction;
  readonly tag: 'Models' | 'Traffic' | 'Health';
  readonly summary: string;
  readonly description?: string;
  readonly body?: z.ZodType<B>;
  readonly query?: z.ZodObject & z.ZodType<Q>;
  /** Honours `If-Match`. */
  readonly conditional?: true;
  /** Status → what is answered. */
  readonly answers: Readonly<Record<number, z.ZodType>>;
  /** Errors of this call beside those every call can give. */
  readonly errors: readonly ErrorCode[];
  readonly handle: (
    context: ControlContext,
    request: CallRequest<B, Q>,
  ) => Promise<CallResponse> | CallResponse;
}

/** Ties the types of body and query to the handler, and lets go of them for the list. */
export function defineCall<B, Q>(call: ApiCall<B, Q>): ApiCall {
  return call as unknown as ApiCall;
}

/** Errors a call can give because of how it is called: any call, and those with key, model or body. */
export function commonErrors({ access, path, body, query }: ApiCall): readonly ErrorCode[] {
  return [
    ...(access === 'open' ? [] : (['UNAUTHENTICATED', 'FORBIDDEN'] as const)),
    ...(path.includes('{id}') ? (['MODEL_NOT_FOUND', 'CLUSTER_UNAVAILABLE'] as const) : []),
    ...(body === undefined
      ? []
      : (['INVALID_REQUEST', 'PAYLOAD_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE'] as const)),
    ...(query === undefined ? [] : (['INVALID_REQUEST'] as const)),
    'INTERNAL',
  ];
}
