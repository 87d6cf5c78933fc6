import type { Request } from 'express';
import type { Authenticate, Caller } from '../auth';
import { ANYONE_NAME, authorize } from '../auth';
import type { ErrorCode } from '../core/routing/error-codes';
import { crossOrigin } from '../shared/origins';
import type { CallAccess } from './define-call';
import type { ControlContext } from './context';
import { Problem } from './problem';
import { entryOf } from '../../lib/spec/entry';

const ANYONE: Caller = { name: ANYONE_NAME, scopes: [] };

/** A header's value; the first of several. */
const firstOf = (value: string | string[] | undefined): string | undefined =>
  typeof value === 'string' ? value : value?.[0];

/**
 * @throws Problem FORBIDDEN or UNSUPPORTED_MEDIA_TYPE for a request of a web page of another origin
 */
export function requireOwnOrigin({ config }: ControlContext, request: Request): void {
  const { method, host } = request;
  const headers = { get: (name: string) => firstOf(entryOf(request.headers, name)) };
  const { allowedOrigins } = config.server;
  const refused = crossOrigin({ method, headers, host, allowedOrigins });
  if (refused !== undefined) throw new Problem(refused.code, refused.message);
}

/** A caller that may not do what it asks for. */
export class AccessRefused extends Problem {
  constructor(
    code: ErrorCode,
    message: string,
    /** Its name, if it is known; for the audit record. */
    readonly caller: string | undefined,
  ) {
    super(code, message);
  }
}

/** @throws AccessRefused UNAUTHENTICATED or FORBIDDEN */
export async function callerOf(
  authenticate: Authenticate,
  { headers, ip = '' }: Pick<Request, 'headers' | 'ip'>,
  access: CallAccess,
  model: string,
): Promise<Caller> {
  if (access === 'open') return ANYONE;
  const fields = { get: (name: string) => firstOf(entryOf(headers, name)) };
  const need = model === '' ? { scope: access } : { scope: access, model };
  const identity = await authenticate({ fields, remoteAddress: ip });
  const result = authorize(identity, need);
  if (result.ok) return result.caller;
  throw new AccessRefused(
    result.code,
    result.message,
    identity.ok ? identity.caller.name : undefined,
  );
}
