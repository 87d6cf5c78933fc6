import { isUtf8 } from 'node:buffer';
import { rewritten } from '../shared/tokens';
import { badRequest } from './errors';

// JSON.parse makes a double of every number, which changes integers beyond 2^53, and refuses NaN
// and Infinity, which the Open Inference Protocol's servers and Python clients write. Where a text
// holds such a token it is put in quotes behind a mark first; the readers of tensor data know the
// mark.

/** Private: from a fresh random at each start, so no caller can write a string that looks like one. */
const MARK = `\u0001${Math.random().toString(36).slice(2)}${Math.random().toString(36).slice(2)}:`;
const MARK_JSON = JSON.stringify(MARK).slice(1, -1);

/** 2^53 has 16 digits: shorter runs of digits are exact as doubles. */
const LONG_DIGITS = /\d{16}/;
const NON_FINITE = /NaN|Infinity/;
/** A string's begin, an integer literal of 16 digits or more (never part of a longer number), or what is no JSON. */
const SPECIAL = /"|(?<![\d.eE+-])-?[1-9]\d{15,}(?![\d.eE])|(?<![\w.])(?:-?Infinity|NaN)(?!\w)/g;

/** The text with every special number outside its strings quoted and marked. */
const marked = (text: string): string =>
  rewritten(text, SPECIAL, (token) => `"${MARK_JSON}${token}"`);

/** Do integers beyond 2^53 matter? Only for tensors of 64-bit integers, and looking for them costs. */
export type Numbers = 'doubles' | 'exact integers';

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/**
 * Reads JSON whose numbers may be NaN or ±Infinity and, if asked for, integers of any size.
 * Ordinary values come as JSON.parse gives them; special ones as marked strings that
 * `numberOf` and `bigOf` read. Throws ServeError 400.
 */
export function parseExact(text: string, numbers: Numbers): unknown {
  const isLong = numbers === 'exact integers' && LONG_DIGITS.test(text);
  const plain = isLong ? undefined : tryParse(text);
  if (plain !== undefined) return plain;
  const special = isLong || NON_FINITE.test(text) ? tryParse(marked(text)) : undefined;
  if (special !== undefined) return special;
  throw badRequest(`the body is not JSON: ${faultOf(text)}`);
}

function faultOf(text: string): string {
  if (text.trim() === '') return 'it is empty';
  try {
    JSON.parse(text);
    return 'it cannot be read';
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return message.replace(/\s+/g, ' ').slice(0, 200);
  }
}

/** A marked number's text, or undefined for every other value. */
const markedText = (value: unknown): string | undefined =>
  typeof value === 'string' && value.startsWith(MARK) ? value.slice(MARK.length) : undefined;

export const isMarked = (value: unknown): boolean => markedText(value) !== undefined;

const WORDS = new Map([
  ['NaN', NaN],
  ['Infinity', Infinity],
  ['-Infinity', -Infinity],
]);

/** A number, however it was written (the words NaN, Infinity, -Infinity in quotes too); else undefined. */
export function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string') return undefined;
  const text = markedText(value);
  return text === undefined ? WORDS.get(value) : Number(text);
}

/** An exact integer, or undefined if the value is none. */
export function bigOf(value: unknown): bigint | undefined {
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : undefined;
  const text = markedText(value);
  return text === undefined || WORDS.has(text) ? undefined : BigInt(text);
}

/** A JSON object (not a list, not null). */
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A body as JSON; UTF-8 is required. Throws ServeError 400. */
export function readJson(body: Buffer, numbers: Numbers): unknown {
  if (!isUtf8(body)) throw badRequest('the body is not UTF-8, as JSON must be');
  return parseExact(body.toString('utf8'), numbers);
}
