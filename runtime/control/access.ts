import type { IncomingHttpHeaders } from 'node:http';
import type { Authenticate, AuthResult, Caller, Scope } from '../auth';
import type { Access } from './call';
import { Problem } from './problem';

const ANYONE: Caller = { name: 'anonymous', scopes: [] };

/** A header's value; of several the first. */
const firstOf = (value: string | string[] | undefined): string | undefined =>
  typeof value === 'string' ? value : value?.[0];

/** Scopes of which any one lets a caller look whether the service is well. */
const ANY: readonly Scope[] = ['read', 'infer', 'write', 'arms'];

function decide(
  authenticate: Authenticate,
  headers: IncomingHttpHeaders,
  scopes: readonly Scope[],
  model: string,
): AuthResult {
  const fields = { get: (name: string) => firstOf(headers[name]) };
  const results = scopes.map((scope) =>
    authenticate(fields, model === '' ? { scope } : { scope, model }),
  );
  const [first] = results;
  const found = results.find(({ ok }) => ok) ?? first;
  if (found === undefined) throw new Error('a call needs at least one scope');
  return found;
}

/** @throws Problem UNAUTHENTICATED or FORBIDDEN */
export function callerOf(
  authenticate: Authenticate,
  headers: IncomingHttpHeaders,
  access: Access,
  model: string,
): Caller {
  if (access === 'open') return ANYONE;
  const scopes = access === 'any' ? ANY : [access];
  const result = decide(authenticate, headers, scopes, model);
  if (result.ok) return result.caller;
  throw new Problem(result.code, result.message);
}
