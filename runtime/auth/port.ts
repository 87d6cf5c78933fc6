/**
 * Rights of a caller. `infer` calls models, `read` sees definitions and health, `write` changes
 * models, `arms` chooses an arm by name, `admin` includes all.
 */
export const SCOPES = ['infer', 'read', 'write', 'admin', 'arms'] as const;
export type Scope = (typeof SCOPES)[number];

/** The caller, as logs and audit name it. Never holds a key. */
export interface Caller {
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** Only these models; absent: all. */
  readonly models?: readonly string[];
  /** By which it was recognized; absent: nothing was asked for. */
  readonly credential?: Credential;
  /** How much it may ask for; absent: without a bound. */
  readonly quota?: CallerQuota;
}

export interface CallerQuota {
  /** Of each model. */
  readonly requestsPerMinute?: number | undefined;
  /** Requests at a time. */
  readonly concurrency?: number | undefined;
}

export type QuotaResult =
  | {
      readonly ok: true;
      /** To be called at the end of the request. */
      readonly leave: () => void;
    }
  | {
      readonly ok: false;
      readonly message: string;
      /** Lines of a head, each with its CRLF. */
      readonly headers: string;
      readonly retryAfterSeconds: number;
    };

/** Limits of what each caller asks for. */
export interface Quotas {
  readonly enter: (caller: Caller, model: string) => QuotaResult;
}

export type Credential = 'key' | 'token' | 'certificate';

/** Caller name when the service needs no key. */
export const ANYONE_NAME = 'anonymous';

/** What a request requires of its caller. Without `model` the scope alone decides. */
export interface RequiredAccess {
  readonly scope: Scope;
  readonly model?: string | undefined;
}

/** Why a caller was not recognized, as the metric names it. */
export type FailureReason =
  | 'missing'
  | 'not_local'
  | 'unknown'
  | 'expired'
  | 'malformed'
  | 'bad_algorithm'
  | 'unknown_kid'
  | 'bad_signature'
  | 'wrong_issuer'
  | 'wrong_audience'
  | 'invalid_claim'
  | 'unavailable';

export interface AccessRefusal {
  readonly ok: false;
  /** `CLUSTER_UNAVAILABLE`: who it is cannot be learned now. */
  readonly code: 'UNAUTHENTICATED' | 'FORBIDDEN' | 'CLUSTER_UNAVAILABLE';
  readonly message: string;
  /** Absent: the caller was recognized and lacks a right. */
  readonly reason?: FailureReason;
  /** What was shown; absent: nothing. */
  readonly credential?: Credential;
}

export type AuthResult = { readonly ok: true; readonly caller: Caller } | AccessRefusal;

/** The headers of a request, by name in lower case. */
export interface HeaderFields {
  readonly get: (name: string) => string | undefined;
}

/** The parts of a request that identify its sender. */
export interface AuthRequest {
  readonly fields: HeaderFields;
  /** Address of the connection. */
  readonly remoteAddress: string;
  /** Of a connection whose other end showed one that `server.tls.client_ca` signed. */
  readonly certificate?: ClientCertificate | undefined;
}

/** The used part of an X.509 certificate. */
export interface ClientCertificate {
  /** `CN=app`, each part in a line. */
  readonly subject: string;
  /** `DNS:a.example, URI:spiffe://a` */
  readonly subjectAltName: string | undefined;
  readonly validTo: string;
}

/** Header in which the data plane tells the management app who showed a certificate to it. */
export const HAND_OVER_HEADER = 'x-ai-model-client-certificate';

/** Tells who sent a request, at once where that can be known at once. Never rejects. */
export type Authenticate = (request: AuthRequest) => AuthResult | Promise<AuthResult>;

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

export function refused(
  code: AccessRefusal['code'],
  message: string,
  reason?: FailureReason,
  credential?: Credential,
): AccessRefusal {
  return {
    ok: false,
    code,
    message,
    ...(reason !== undefined && { reason }),
    ...(credential !== undefined && { credential }),
  };
}

/** Checks one need of a recognized caller; a refusal stays a refusal. */
export function authorize(result: AuthResult, { scope, model }: RequiredAccess): AuthResult {
  if (!result.ok) return result;
  const { caller } = result;
  const { name, credential = 'key' } = caller;
  if (!holds(caller, scope)) {
    const has = caller.scopes.join(', ') || 'none';
    return refused(
      'FORBIDDEN',
      `this needs the scope ${scope}; the ${credential} of ${name} has ${has}; use another ${credential}`,
    );
  }
  if (model !== undefined && !mayUse(caller, model)) {
    return refused('FORBIDDEN', `the ${credential} of ${name} is not for model ${model}`);
  }
  return result;
}
