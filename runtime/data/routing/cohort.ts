import type { Cohort } from '../../../lib/spec';
import type { Fields } from '../http/fields';
import { entryOf } from '../../../lib/spec/entry';

/** The unverified payload of a JWT: like a header it is a label and grants nothing. */
function unverifiedClaims(authorization: string | undefined): Readonly<Record<string, unknown>> {
  const payload = /^Bearer +[^.\s]+\.([^.\s]+)\./i.exec(authorization ?? '')?.[1];
  if (payload === undefined) return {};
  try {
    const value: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function cookieOf(header: string | undefined, name: string): string | undefined {
  for (const part of (header ?? '').split(';')) {
    const at = part.indexOf('=');
    if (at > 0 && part.slice(0, at).trim() === name) return part.slice(at + 1).trim();
  }
  return undefined;
}

/** What identifies a caller for the split; undefined: requests take turns. */
export function cohortKeyOf(cohort: Cohort, fields: Pick<Fields, 'get'>): string | undefined {
  let key: unknown;
  if ('header' in cohort && cohort.header !== undefined) {
    key = fields.get(cohort.header.toLowerCase());
  } else if ('cookie' in cohort && cohort.cookie !== undefined) {
    key = cookieOf(fields.get('cookie'), cohort.cookie);
  } else if ('claim' in cohort && cohort.claim !== undefined) {
    key = entryOf(unverifiedClaims(fields.get('authorization')), cohort.claim);
  }
  return typeof key === 'string' && key !== '' ? key : undefined;
}
