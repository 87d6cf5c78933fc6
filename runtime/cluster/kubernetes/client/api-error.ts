/**
 * `status`: the server answered with an error. `network`: there was no answer, or it was
 * unreadable. `timeout`: there was no answer in time. `access`: the credentials could not be read.
 * `contention`: other writers were faster each time.
 */
export type KubeErrorKind = 'status' | 'network' | 'timeout' | 'access' | 'contention';

/** A field that is invalid, or that another manager owns. */
export interface StatusCause {
  /** E.g. `FieldValueInvalid`, `FieldManagerConflict`. */
  readonly reason: string;
  readonly message: string;
  /** E.g. `.spec.template.spec.containers[name="server"].image`. */
  readonly field: string;
}

export interface KubeErrorDetails {
  /** 0: there was no answer. */
  readonly status?: number;
  /** Reason of the Status, e.g. `Conflict`, `AlreadyExists`, `Expired`; '' without an answer. */
  readonly reason?: string;
  readonly causes?: readonly StatusCause[];
  readonly retryAfterSeconds?: number | undefined;
}

/** Every call to the API server rejects with this error. */
export class KubeError extends Error {
  override readonly name = 'KubeError';
  readonly status: number;
  readonly reason: string;
  readonly causes: readonly StatusCause[];
  readonly retryAfterSeconds: number | undefined;
  constructor(
    readonly kind: KubeErrorKind,
    message: string,
    { status = 0, reason = '', causes = [], retryAfterSeconds }: KubeErrorDetails = {},
  ) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.causes = causes;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

const CONFLICT = 409;
const MANAGER_CONFLICT = 'FieldManagerConflict';

/** Causes of a field conflict; empty for a 409 about a stale resourceVersion. */
export function ownerConflicts({ status, causes }: KubeError): readonly StatusCause[] {
  return status === CONFLICT ? causes.filter(({ reason }) => reason === MANAGER_CONFLICT) : [];
}

/** Another client wrote, created or deleted the object meanwhile. */
export const isWriteConflict = (error: unknown): error is KubeError =>
  error instanceof KubeError && error.status === CONFLICT && ownerConflicts(error).length === 0;

/** Includes the code (`ECONNREFUSED`): the message of an AggregateError may be empty. */
export function networkError(what: string, error: unknown): KubeError {
  if (error instanceof KubeError) return error;
  const { message, code } = error as NodeJS.ErrnoException;
  const text = [code, message].filter((part) => part !== undefined && part !== '').join(' ');
  return new KubeError('network', `${what}: ${text}`);
}
