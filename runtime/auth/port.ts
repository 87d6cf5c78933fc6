/**
 * What a caller may do. `infer` calls models, `read` sees definitions and health, `write` changes
 * models, `arms` chooses an arm by name, `admin` may do everything.
 */
export const SCOPES = ['infer', 'read', 'write', 'admin', 'arms'] as const;
export type Scope = (typeof SCOPES)[number];

/** The caller, as logs and audit name it. Never holds a key. */
export interface Caller {
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** Only these models; absent: all. */
  readonly models?: readonly string[];
}

/** Caller name when the service needs no key. */
export const ANYONE_NAME = 'anonymous';

/** What a request requires of its caller. Without `model` the scope alone decides. */
export interface RequiredAccess {
  readonly scope: Scope;
  readonly model?: string | undefined;
}

export type AuthResult =
  | { readonly ok: true; readonly caller: Caller }
  | {
      readonly ok: false;
      readonly code: 'UNAUTHENTICATED' | 'FORBIDDEN';
      readonly message: string;
    };

/** The headers of a request, by name in lower case. */
export interface HeaderFields {
  readonly get: (name: string) => string | undefined;
}

/** Decides about one request; synchronous, so that the data plane never waits for it. */
export type Authenticate = (headers: HeaderFields, need: RequiredAccess) => AuthResult;

/** Value of `WWW-Authenticate` that goes with every 401 (RFC 9110, 11.6.1). */
export const CHALLENGE = 'Bearer realm="ai-model-service"';

/** May this caller see or use this model? */
export function mayUse(caller: Caller, model: string): boolean {
  return caller.models === undefined || caller.models.includes(model);
}

/** Does this caller hold the scope? `admin` holds all. */
export function holds(caller: Caller, scope: Scope): boolean {
  return caller.scopes.includes('admin') || caller.scopes.includes(scope);
}
