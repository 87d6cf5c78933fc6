import { randomUUID } from 'node:crypto';
import { rewritten } from '../../shared/tokens';
import { valueWith } from './values';

// JSON whose numbers survive: 9007199254740993 stays that, and 1.0 stays a float for a server that
// looks. Digits of a fraction that no double holds are the only thing that may go.

/** Stands before a number's text while it travels as a string; nobody outside can guess it. */
const MARK = `${randomUUID()}:`;
const MARKED = new RegExp(`"${MARK}([^"]*)"`, 'g');

/** A number that would be another one, or of another kind, if JavaScript wrote it. */
export class Exact {
  constructor(readonly text: string) {}

  /** The nearest double. */
  valueOf(): number {
    return Number(this.text);
  }

  toJSON(): string {
    return MARK + this.text;
  }
}

/**
 * May a text hold such numbers? Too many are asked, never too few: integers of 16 digits, fractions
 * that are or may round to an integer, exponents that may give one, and −0.
 */
const SUSPECT =
  /(?<![.\d])(?:\d{16}|\d{10,}\.)|\.0+(?!\d)|\.(?:0{6}|9{6})|\d[eE](?:\+?\d|-0|-\d{3})|0[eE]-|-0(?![.\d])/;

const INTEGER = /^-?\d+$/;
/** A string's begin, or what Python's json writes although it is no JSON. */
const NOT_A_NUMBER = /"|NaN|-?Infinity/g;

/** Would JavaScript write another number than was read, or a float as an integer? */
function changes(token: string): boolean {
  const value = Number(token);
  if (INTEGER.test(token)) return String(value) !== token;
  return Number.isInteger(value) || !Number.isFinite(value);
}

const numberFrom = (token: string): unknown => (changes(token) ? new Exact(token) : Number(token));

/**
 * As JSON.parse, but a number that JavaScript would change is an `Exact`.
 * @throws SyntaxError
 */
export function readJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  return SUSPECT.test(text) ? valueWith(text, numberFrom) : value;
}

/** As `readJson`, for what a server answers: NaN and infinities, which JSON has no words for, are null. */
export function readAnswer(text: string): unknown {
  try {
    return readJson(text);
  } catch (error) {
    const valid = rewritten(text, NOT_A_NUMBER, () => 'null');
    if (valid === text) throw error;
    return readJson(valid);
  }
}

/**
 * As `readJson`, but NaN and infinities, as Python writes them, are an `Exact` of that value: for
 * readers that have words for them.
 */
export function readLoose(text: string): unknown {
  try {
    return readJson(text);
  } catch (error) {
    const valid = rewritten(text, NOT_A_NUMBER, () => 'null');
    if (valid === text) throw error;
    JSON.parse(valid);
    return valueWith(text, numberFrom);
  }
}

/** As JSON.stringify; an `Exact` is written as it was read. */
export function writeJson(value: unknown): string {
  const text = JSON.stringify(value);
  return text.includes(MARK) ? text.replace(MARKED, '$1') : text;
}

/** The number a value is, or undefined: exact or not. */
export function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  return value instanceof Exact ? value.valueOf() : undefined;
}

/** Was it written as an integer? `1` is, `1.0` and `1e3` are not. */
export function isInteger(value: unknown): boolean {
  // Floats that look like integers are `Exact`; beyond 2^53 some integers are themselves.
  return value instanceof Exact ? INTEGER.test(value.text) : Number.isInteger(value);
}
