import { randomUUID } from 'node:crypto';
import { valueWith } from '../../shared/json-values';
import { rewritten } from '../../shared/tokens';

// JSON whose numbers survive: 9007199254740993 stays that, and 1.0 stays a float for a server that
// looks. Digits of a fraction that no double holds are the only thing that may go.

/** Stands before a number's text while it travels as a string; nobody outside can guess it. */
const MARK = `${randomUUID()}:`;
const MARKED = new RegExp(`"${MARK}([^"]*)"`, 'g');

const WORDS = new Set<unknown>(['NaN', 'Infinity', '-Infinity']);

/** A number for which JSON has no token. */
export const isWord = (value: unknown): value is string => WORDS.has(value);

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

/** Lists repeat their numbers (0.0, 1.0): of so many different ones each is kept once. */
const MAX_SHARED = 4096;

/** Makes the numbers of one text. Two million `0.0` would take 64 bytes each. */
function createNumbers(): (token: string) => unknown {
  const shared = new Map<string, Exact>();
  return (token) => {
    const before = shared.get(token);
    if (before !== undefined) return before;
    if (!changes(token)) return Number(token);
    const exact = new Exact(token);
    if (shared.size < MAX_SHARED) shared.set(token, exact);
    return exact;
  };
}

/**
 * As JSON.parse, but a number that JavaScript would change is an `Exact`.
 * @throws SyntaxError
 */
export function readJson(text: string): unknown {
  if (!SUSPECT.test(text)) return JSON.parse(text);
  // Checks the text. Its value is not kept: both at once could be more than the thread's heap.
  JSON.parse(text);
  return valueWith(text, createNumbers());
}

/**
 * As `readJson`, but the words NaN, Infinity and -Infinity, which Triton, TensorFlow Serving and
 * Python write, are an `Exact` of that value.
 * @throws SyntaxError
 */
export function readLoose(text: string): unknown {
  try {
    return readJson(text);
  } catch (error) {
    const valid = rewritten(text, NOT_A_NUMBER, () => 'null');
    if (valid === text) throw error;
    JSON.parse(valid);
    return valueWith(text, createNumbers());
  }
}

/**
 * As JSON.stringify; an `Exact` is written as it was read, so that NaN and infinities are words, as
 * V1 and V2 write them.
 */
export function writeJson(value: unknown): string {
  const text = JSON.stringify(value);
  return text.includes(MARK) ? text.replace(MARKED, '$1') : text;
}

/** As `writeJson`, but NaN and infinities are strings, so that all of it is JSON (native, OpenAI). */
export function writeStrict(value: unknown): string {
  const text = JSON.stringify(value);
  if (!text.includes(MARK)) return text;
  return text.replace(MARKED, (_, token: string) => (isWord(token) ? `"${token}"` : token));
}

/** A number that was not read from JSON, as it has to be written. */
export function exactly(value: number): number | Exact {
  if (Object.is(value, -0)) return new Exact('-0.0');
  return Number.isFinite(value) ? value : new Exact(String(value));
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
