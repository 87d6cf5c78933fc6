import { valueWith } from '../shared/json-values';
import type { JsonLimits } from '../shared/json-survey';
import { JSON_LIMITS, JsonTooComplex, survey } from '../shared/json-survey';
import { firstNotUtf8, NotUtf8 } from '../shared/utf8';
import { badRequest, ServeError } from './errors';

// JSON.parse makes a double of every number, which changes integers beyond 2^53, and refuses NaN
// and Infinity, which the Open Inference Protocol's servers and Python clients write. A text that
// holds such a token is read by the reader that the router uses, too (shared/json-values.ts); the
// router keeps the text of numbers besides, to write it again (data/transcode/exact-json.ts).

/** 2^53 has 16 digits: shorter runs of digits are exact as doubles. */
const LONG_DIGITS = /\d{16}/;
/** Also matches within a string. */
const NON_FINITE = /NaN|Infinity/;
/** No integer of 64 bits has more than 20 digits; to make one of a million takes long. */
const LONG_INTEGER = /^-?\d{16,20}$/;

/** Do integers beyond 2^53 matter? Only for tensors of 64-bit integers, and looking for them costs. */
export type IntegerMode = 'doubles' | 'exact integers';

const numberFrom = (token: string): number | bigint =>
  LONG_INTEGER.test(token) ? BigInt(token) : Number(token);

/**
 * Reads JSON whose numbers may be NaN or ±Infinity and, if asked for, integers of 64 bits, which
 * are a bigint from 16 digits on. Throws ServeError 400.
 */
export function parseExact(text: string, numbers: IntegerMode): unknown {
  const isSpecial =
    NON_FINITE.test(text) || (numbers === 'exact integers' && LONG_DIGITS.test(text));
  try {
    return isSpecial ? valueWith(text, numberFrom, 'words') : JSON.parse(text);
  } catch (error) {
    if (error instanceof RangeError) throw badRequest('the body is nested too deeply');
    throw badRequest(`the body is not JSON: ${faultOf(text, error as Error)}`);
  }
}

function faultOf(text: string, { message }: Error): string {
  return text.trim() === '' ? 'it is empty' : message.replace(/\s+/g, ' ').slice(0, 200);
}

const WORDS = new Map([
  ['NaN', NaN],
  ['Infinity', Infinity],
  ['-Infinity', -Infinity],
]);

/** A number, however it was written (the words NaN, Infinity, -Infinity in quotes too); else undefined. */
export function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  return typeof value === 'string' ? WORDS.get(value) : undefined;
}

/** An exact integer, or undefined. */
export function bigOf(value: unknown): bigint | undefined {
  if (typeof value === 'bigint') return value;
  return typeof value === 'number' && Number.isInteger(value) ? BigInt(value) : undefined;
}

/** No graph has more inputs, and with more names JSON.parse takes seconds, in which no probe is answered. */
const LIMITS: JsonLimits = { ...JSON_LIMITS, names: 10_000 };

function checkComplexity(body: Buffer): void {
  try {
    survey(body, LIMITS);
  } catch (error) {
    if (!(error instanceof JsonTooComplex)) throw error;
    const status = error.what === 'depth' ? 400 : 413;
    throw new ServeError(status, `the body ${error.message}`);
  }
}

/** A body as JSON; UTF-8 is required. Throws ServeError 400, 413. */
export function readJson(body: Buffer, numbers: IntegerMode): unknown {
  checkComplexity(body);
  const offset = firstNotUtf8(body);
  if (offset === undefined) return parseExact(body.toString('utf8'), numbers);
  throw badRequest(`the body is ${new NotUtf8(offset).message}`);
}
