import type { Priority } from '../../core/routing/outcome';
import { PRIORITIES } from '../../core/routing/outcome';
import { Refusal } from '../transcode/refusal';
import type { IncomingRequest } from '../http/exchange';

// What a caller may ask for whatever its protocol has words for.

type Fields = Pick<IncomingRequest['fields'], 'get'>;

const PRIORITY = 'x-ai-model-priority';
const DEADLINE = 'x-ai-model-deadline-ms';

/** Undefined: it says none. @throws Refusal */
export function priorityOf(fields: Fields): Priority | undefined {
  const given = fields.get(PRIORITY);
  if (given === undefined) return undefined;
  const known = PRIORITIES.find((one) => one === given.toLowerCase());
  if (known !== undefined) return known;
  const allowed = PRIORITIES.join(', ');
  throw new Refusal('INVALID_REQUEST', `${PRIORITY}: got "${given}", must be one of ${allowed}`);
}

/**
 * The shorter of `timeoutMs` and the milliseconds that the caller has left: the header that model
 * servers get, so that a router before this one passes its own deadline on. @throws Refusal
 */
export function timeoutWithin(fields: Fields, timeoutMs: number): number {
  const given = fields.get(DEADLINE);
  if (given === undefined) return timeoutMs;
  if (/^\d{1,10}$/.test(given)) return Math.min(timeoutMs, Math.max(1, Number(given)));
  throw new Refusal(
    'INVALID_REQUEST',
    `${DEADLINE}: got "${given}", must be the whole milliseconds that are left`,
  );
}
