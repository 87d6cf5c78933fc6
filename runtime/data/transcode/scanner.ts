import {
  BACKSLASH,
  BLANK,
  CLOSE_LIST,
  CLOSE_OBJECT,
  COLON,
  COMMA,
  OPEN_LIST,
  OPEN_OBJECT,
  QUOTE,
} from '../../shared/json-characters';

// A strict scanner of JSON text that returns positions instead of values, so that a list of numbers
// is copied without being parsed. It rejects what is not simple (escapes in strings, deep nesting),
// and JSON.parse, or shared/json-values.ts where numbers must stay exact, handles that.

const MINUS = 0x2d;
const PLUS = 0x2b;
const POINT = 0x2e;
const ZERO = 0x30;

const MAX_DEPTH = 32;

const WORDS = ['true', 'false', 'null'];
/** Python's json writes these although they are not JSON. */
const LENIENT_WORDS = [...WORDS, 'NaN', 'Infinity', '-Infinity'];

/** Not simple, or not JSON: the caller falls back to the parser, which tells the two apart. */
export class NotSimple extends Error {}

const NOT_SIMPLE = new NotSimple('not simple');

const isDigit = (code: number): boolean => code >= ZERO && code <= 0x39;

/** @throws NotSimple when there is none */
function behindDigits(text: string, from: number): number {
  let to = from;
  while (isDigit(text.charCodeAt(to))) to += 1;
  if (to === from) throw NOT_SIMPLE;
  return to;
}

/** Numbers, alone or in lists of lists. */
export interface NumberSpan {
  readonly from: number;
  readonly to: number;
  /** Lengths from the outside in; `[]` for a number alone. */
  readonly shape: readonly number[];
  readonly areIntegers: boolean;
}

export class Scanner {
  private at = 0;
  private areIntegers = true;

  /** @param isLenient escapes in strings, NaN and infinities pass as they are */
  constructor(
    readonly text: string,
    private readonly isLenient = false,
  ) {
    this.skipBlanks();
  }

  get position(): number {
    return this.at;
  }

  /** Code of the character that comes next; NaN at the end. */
  get next(): number {
    return this.text.charCodeAt(this.at);
  }

  private skipBlanks(): void {
    const { text } = this;
    for (;;) {
      const code = text.charCodeAt(this.at);
      if (code > BLANK || Number.isNaN(code)) return;
      if (code !== BLANK && code !== 0x0a && code !== 0x0d && code !== 0x09) throw NOT_SIMPLE;
      this.at += 1;
    }
  }

  private expect(code: number): void {
    if (this.next !== code) throw NOT_SIMPLE;
    this.at += 1;
    this.skipBlanks();
  }

  /** Takes the character if it comes next. */
  private takes(code: number): boolean {
    if (this.next !== code) return false;
    this.at += 1;
    this.skipBlanks();
    return true;
  }

  end(): void {
    if (this.at !== this.text.length) throw NOT_SIMPLE;
  }

  /** A string between its quotes, unchanged; without escapes unless lenient. */
  string(): string {
    const { text } = this;
    if (this.next !== QUOTE) throw NOT_SIMPLE;
    const from = this.at + 1;
    let to = from;
    for (; ; to += 1) {
      const code = text.charCodeAt(to);
      if (code === QUOTE) break;
      if (code === BACKSLASH && this.isLenient) {
        to += 1;
        continue;
      }
      if (code === BACKSLASH || code < BLANK || Number.isNaN(code)) throw NOT_SIMPLE;
    }
    this.at = to + 1;
    this.skipBlanks();
    return text.slice(from, to);
  }

  /** Calls for each key, whose value the callee takes. */
  object(onKey: (key: string) => void): void {
    this.expect(OPEN_OBJECT);
    if (this.takes(CLOSE_OBJECT)) return;
    do {
      const key = this.string();
      this.expect(COLON);
      onKey(key);
    } while (this.takes(COMMA));
    this.expect(CLOSE_OBJECT);
  }

  /** Calls for each element, which the callee takes. */
  list(onElement: (index: number) => void): number {
    this.expect(OPEN_LIST);
    if (this.takes(CLOSE_LIST)) return 0;
    let count = 0;
    do {
      onElement(count);
      count += 1;
    } while (this.takes(COMMA));
    this.expect(CLOSE_LIST);
    return count;
  }

  private number(): void {
    const { text } = this;
    // The hot loop of a body of numbers: a local variable is faster than the field.
    let at = this.at;
    if (text.charCodeAt(at) === MINUS) at += 1;
    at = text.charCodeAt(at) === ZERO ? at + 1 : behindDigits(text, at);
    if (text.charCodeAt(at) === POINT) {
      this.areIntegers = false;
      at = behindDigits(text, at + 1);
    }
    if ((text.charCodeAt(at) | 0x20) === 0x65) {
      this.areIntegers = false;
      const sign = text.charCodeAt(at + 1);
      at = behindDigits(text, sign === PLUS || sign === MINUS ? at + 2 : at + 1);
    }
    this.at = at;
    this.skipBlanks();
  }

  /** Lengths of what begins here. Lists of one level must be equally long. */
  private level(depth: number): readonly number[] {
    if (this.next !== OPEN_LIST) {
      this.number();
      return [];
    }
    if (depth > MAX_DEPTH) throw NOT_SIMPLE;
    this.expect(OPEN_LIST);
    if (this.takes(CLOSE_LIST)) return [0];
    let inner: readonly number[] | undefined;
    let count = 0;
    do {
      // Most lists hold numbers: a recursive call for each would double the time.
      if (this.next !== OPEN_LIST && (inner === undefined || inner.length === 0)) {
        this.number();
        inner ??= [];
      } else {
        const shape = this.level(depth + 1);
        if (inner !== undefined && !isSame(inner, shape)) throw NOT_SIMPLE;
        inner = shape;
      }
      count += 1;
    } while (this.takes(COMMA));
    this.expect(CLOSE_LIST);
    return [count, ...(inner ?? [])];
  }

  numbers(): NumberSpan {
    this.areIntegers = true;
    const from = this.at;
    const shape = this.level(0);
    return { from, to: this.at, shape, areIntegers: this.areIntegers };
  }

  /** Any value; its text. */
  value(depth = 0): string {
    const from = this.at;
    if (depth > MAX_DEPTH) throw NOT_SIMPLE;
    const { next } = this;
    if (next === OPEN_OBJECT) this.object(() => this.value(depth + 1));
    else if (next === OPEN_LIST) this.list(() => this.value(depth + 1));
    else if (next === QUOTE) this.string();
    else if (isDigit(next) || (next === MINUS && !this.isInfinite())) this.number();
    else this.word();
    return this.text.slice(from, this.at);
  }

  private isInfinite(): boolean {
    return this.isLenient && this.text.startsWith('-Infinity', this.at);
  }

  private word(): void {
    const words = this.isLenient ? LENIENT_WORDS : WORDS;
    const word = words.find((one) => this.text.startsWith(one, this.at));
    if (word === undefined) throw NOT_SIMPLE;
    this.at += word.length;
    this.skipBlanks();
  }
}

function isSame(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((length, at) => length === other[at]);
}

/** The result of `read`; undefined when the text is not simple. */
export function scanned<T>(
  text: string,
  read: (scanner: Scanner) => T,
  isLenient = false,
): T | undefined {
  try {
    const scanner = new Scanner(text, isLenient);
    const result = read(scanner);
    scanner.end();
    return result;
  } catch (error) {
    if (error instanceof NotSimple) return undefined;
    throw error;
  }
}
