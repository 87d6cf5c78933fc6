import { isInteger, numberOf } from '../transcode/exact-json';
import { isJsonObject } from '../transcode/body-json';
import type { Message } from './splice';
import type { BatchCodec } from './codecs';

// Compares a part of a batch answer with the answer to the same request sent alone.

/** Another batch size may change the last bits of a result. */
const RELATIVE = 1e-4;
const ABSOLUTE = 1e-7;
/** Larger answers would block the event loop while they are parsed. */
const MAX_BYTES = 256 * 1024;

function sameNumbers(a: unknown, b: unknown, x: number, y: number): boolean {
  if (Object.is(x, y) || x === y) return true;
  if (isInteger(a) && isInteger(b)) return false;
  return Math.abs(x - y) <= Math.max(ABSOLUTE, RELATIVE * Math.max(Math.abs(x), Math.abs(y)));
}

function sameValues(a: unknown, b: unknown): boolean {
  const [x, y] = [numberOf(a), numberOf(b)];
  if (x !== undefined && y !== undefined) return sameNumbers(a, b, x, y);
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((one, at) => sameValues(one, b[at]));
  }
  if (!isJsonObject(a) || !isJsonObject(b)) return a === b;
  const others = new Map(Object.entries(b));
  const own = Object.entries(a);
  return own.length === others.size && own.every(([key, one]) => sameValues(one, others.get(key)));
}

/** Undefined: unknown. */
export function isSameAnswer(form: BatchCodec, a: Message, b: Message): boolean | undefined {
  if (a.body.equals(b.body)) return true;
  if (a.body.length > MAX_BYTES || b.body.length > MAX_BYTES) return undefined;
  try {
    return sameValues(form.output(a), form.output(b));
  } catch {
    return undefined;
  }
}
