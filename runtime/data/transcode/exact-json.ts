import { valueWith } from '../../shared/json-values';

// JSON that keeps its numbers: 9007199254740993 stays exact, and 1.0 stays a float. Only fraction
// digits beyond the precision of a double may be lost. The ONNX server (onnx/json.ts) writes no
// number as it was read, and makes integers of 64 bits at once: it needs no `ExactNumber`.

const WORDS = new Set<unknown>(['NaN', 'Infinity', '-Infinity']);

/** Is this one of the strings for numbers that JSON cannot express? */
export const isNonFiniteWord = (value: unknown): value is string => WORDS.has(value);

/** Set when JSON.stringify meets an `ExactNumber`: what it writes then is not exact. */
let sawExact = false;

/** A number that JavaScript would write as another number, or as another type. */
export class ExactNumber {
  constructor(readonly text: string) {}

  /** The nearest double. */
  valueOf(): number {
    return Number(this.text);
  }

  toJSON(): number {
    sawExact = true;
    return this.valueOf();
  }
}

/**
 * May a text hold such numbers? False positives are fine, false negatives are not: integers of 16
 * digits, fractions and exponents that may give an integer, and −0.
 */
const SUSPECT =
  /(?<![.\d])(?:\d{16}|\d{10,}\.)|\.0+(?!\d)|\.(?:0{6}|9{6})|\d[eE](?:\+?\d|-0|-\d{3})|0[eE]-|-0(?![.\d])/;

const INTEGER = /^-?\d+$/;
/** Python's json writes these although they are not JSON; a string may contain them, too. */
const NOT_A_NUMBER = /NaN|Infinity/;

/** Would JavaScript write another number than was read, or a float as an integer? */
function changes(token: string): boolean {
  const value = Number(token);
  if (INTEGER.test(token)) return String(value) !== token;
  return Number.isInteger(value) || !Number.isFinite(value);
}

/** Lists repeat numbers (0.0, 1.0), so up to this many are shared. */
const MAX_SHARED = 4096;

/** Makes the numbers of one text. Two million `0.0` would take 64 bytes each. */
function createNumbers(): (token: string) => unknown {
  const shared = new Map<string, ExactNumber>();
  return (token) => {
    const before = shared.get(token);
    if (before !== undefined) return before;
    if (!changes(token)) return Number(token);
    const exact = new ExactNumber(token);
    if (shared.size < MAX_SHARED) shared.set(token, exact);
    return exact;
  };
}

/**
 * As JSON.parse, but a number that JavaScript would change is an `ExactNumber`.
 * @throws SyntaxError
 */
export function readJson(text: string): unknown {
  return SUSPECT.test(text) ? valueWith(text, createNumbers(), 'strict') : JSON.parse(text);
}

/**
 * As `readJson`, but the words NaN, Infinity and -Infinity, which Triton, TensorFlow Serving and
 * Python write, are an `ExactNumber` of that value.
 * @throws SyntaxError
 */
export function readLoose(text: string): unknown {
  return NOT_A_NUMBER.test(text) ? valueWith(text, createNumbers(), 'words') : readJson(text);
}

/** Tokens joined into one string at a time; a body may have millions. */
const TOKENS_OF_PART = 4096;

/** Writes values as JSON.stringify does, and each `ExactNumber` as it was read. */
class ExactText {
  private readonly parts: string[] = [];
  private tokens: string[] = [];

  constructor(private readonly isStrict: boolean) {}

  whole(value: unknown): string {
    this.value(value);
    this.endPart();
    return this.parts.join('');
  }

  private endPart(): void {
    this.parts.push(this.tokens.join(''));
    this.tokens = [];
  }

  private add(token: string): void {
    this.tokens.push(token);
    if (this.tokens.length === TOKENS_OF_PART) this.endPart();
  }

  private value(value: unknown): void {
    if (value instanceof ExactNumber) {
      this.add(this.isStrict && isNonFiniteWord(value.text) ? `"${value.text}"` : value.text);
    } else if (Array.isArray(value)) this.list(value);
    else if (typeof value === 'object' && value !== null) this.object(value);
    else this.add(JSON.stringify(value) ?? 'null');
  }

  private list(items: readonly unknown[]): void {
    let between = '[';
    for (const item of items) {
      this.add(between);
      this.value(item);
      between = ',';
    }
    this.add(items.length === 0 ? '[]' : ']');
  }

  private object(value: object): void {
    const { toJSON } = value as { readonly toJSON?: unknown };
    if (typeof toJSON === 'function') return this.value(toJSON.call(value));
    let between = '{';
    for (const [name, one] of Object.entries(value)) {
      if (one === undefined) continue;
      this.add(`${between}${JSON.stringify(name)}:`);
      this.value(one);
      between = ',';
    }
    this.add(between === '{' ? '{}' : '}');
  }
}

function written(value: unknown, isStrict: boolean): string {
  sawExact = false;
  const text = JSON.stringify(value);
  return sawExact ? new ExactText(isStrict).whole(value) : text;
}

/**
 * As JSON.stringify; an `ExactNumber` is written as it was read, so that NaN and infinities are words, as
 * V1 and V2 write them.
 */
export const writeJson = (value: unknown): string => written(value, false);

/** As `writeJson`, but NaN and infinities are strings, so that all of it is JSON (native, OpenAI). */
export const writeStrict = (value: unknown): string => written(value, true);

/** A computed number as JSON must write it. */
export function exactly(value: number): number | ExactNumber {
  if (Object.is(value, -0)) return new ExactNumber('-0.0');
  return Number.isFinite(value) ? value : new ExactNumber(String(value));
}

/** The value as a number; undefined when it is not one. */
export function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  return value instanceof ExactNumber ? value.valueOf() : undefined;
}

/** Was it written as an integer? `1` is, `1.0` and `1e3` are not. */
export function isInteger(value: unknown): boolean {
  // Floats that look like integers are `ExactNumber`; beyond 2^53 some integers are themselves.
  return value instanceof ExactNumber ? INTEGER.test(value.text) : Number.isInteger(value);
}
