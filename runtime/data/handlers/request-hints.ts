import type { Priority } from '../../core/routing/outcome';
import { PRIORITIES } from '../../core/routing/outcome';
import { Refusal } from '../transcode/refusal';
import type { IncomingRequest } from '../http/exchange';

// Request headers that work with every protocol: priority and deadline.

type Fields = Pick<IncomingRequest['fields'], 'get'>;

const PRIORITY = 'x-ai-model-priority';
const DEADLINE = 'x-ai-model-deadline-ms';

/** Undefined: the header is missing. @throws Refusal */
export function priorityOf(fields: Fields): Priority | undefined {
  const given = fields.get(PRIORITY);
  if (given === undefined) return undefined;
  const known = PRIORITIES.find((one) => one === given.toLowerCase());
  if (known !== undefined) return known;
  const allowed = PRIORITIES.join(', ');
  throw new Refusal('INVALID_REQUEST', `${PRIORITY}: got "${given}", must be one of ${allowed}`);
}

/**
 * The shorter of `timeoutMs` and the deadline header. Model servers get the same header, so that
 * chained routers share one deadline. @throws Refusal
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
