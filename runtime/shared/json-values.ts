import { setEntry } from '../../lib/spec/entry';
import {
  BACKSLASH,
  CLOSE_LIST,
  CLOSE_OBJECT,
  COLON,
  COMMA,
  OPEN_LIST,
  OPEN_OBJECT,
  QUOTE,
} from './json-characters';

// A strict reader of JSON text whose caller makes the numbers: JSON.parse makes a double of every
// number. Faults are found while values are made: the text is read once. lib/spec/jsontext.ts reads
// text that people write: it knows the place of each value, and is slower.

/** Index after the string that begins at `start`. */
function behindString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes += 1;
    if (slashes % 2 === 0) return end + 1;
  }
  return text.length;
}

/** RFC 8259, 3 and 6. */
const STRICT = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
/** Also literals that Python, Triton and TensorFlow Serving write although they are not JSON. */
const LENIENT = new RegExp(`${STRICT.source}|NaN|-?Infinity`, 'y');
const WORDS = new Map<string, unknown>([
  ['true', true],
  ['false', false],
  ['null', null],
]);

/** An escape, or a control character, which a string must not hold. (RFC 8259, 7) */
// oxlint-disable-next-line no-control-regex
const NOT_PLAIN = /[\\\u0000-\u001f]/;

const isBlank = (code: number): boolean =>
  code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;

class Values {
  private at = 0;

  constructor(
    private readonly text: string,
    private readonly numberOf: (token: string) => unknown,
    private readonly scalars: RegExp,
  ) {}

  /** The character that comes next, blanks apart; NaN at the end. */
  private get next(): number {
    let code = this.text.charCodeAt(this.at);
    for (; isBlank(code); code = this.text.charCodeAt(this.at)) this.at += 1;
    return code;
  }

  private fail(at: number): never {
    const what = at < this.text.length ? JSON.stringify(this.text[at]) : 'end';
    throw new SyntaxError(`Unexpected ${what} at position ${at}`);
  }

  whole(): unknown {
    const value = this.value();
    return Number.isNaN(this.next) ? value : this.fail(this.at);
  }

  private value(): unknown {
    const { next } = this;
    if (next === QUOTE) return this.string();
    if (next === OPEN_LIST) return this.list();
    if (next === OPEN_OBJECT) return this.object();
    const { text, scalars, at } = this;
    scalars.lastIndex = at;
    if (!scalars.test(text)) return this.fail(at);
    this.at = scalars.lastIndex;
    const token = text.slice(at, this.at);
    const word = WORDS.get(token);
    return word === undefined ? this.numberOf(token) : word;
  }

  private string(): string {
    const from = this.at;
    this.at = behindString(this.text, from);
    const own = this.text.slice(from + 1, this.at - 1);
    const isClosed = this.at > from + 1 && this.text.charCodeAt(this.at - 1) === QUOTE;
    if (isClosed && !NOT_PLAIN.test(own)) return own;
    try {
      return JSON.parse(this.text.slice(from, this.at)) as string;
    } catch {
      return this.fail(from);
    }
  }

  /**
   * Whether another element follows. @throws SyntaxError when the list or object neither goes on
   * nor ends
   */
  private goesOn(close: number): boolean {
    const { next } = this;
    if (next !== COMMA && next !== close) this.fail(this.at);
    this.at += 1;
    return next === COMMA;
  }

  private list(): unknown[] {
    const items: unknown[] = [];
    this.at += 1;
    if (this.next === CLOSE_LIST) this.at += 1;
    else {
      do items.push(this.value());
      while (this.goesOn(CLOSE_LIST));
    }
    return items;
  }

  private object(): Record<string, unknown> {
    const value: Record<string, unknown> = {};
    this.at += 1;
    if (this.next === CLOSE_OBJECT) this.at += 1;
    else {
      do this.member(value);
      while (this.goesOn(CLOSE_OBJECT));
    }
    return value;
  }

  private need(code: number): void {
    if (this.next !== code) this.fail(this.at);
  }

  private member(object: Record<string, unknown>): void {
    this.need(QUOTE);
    const key = this.string();
    this.need(COLON);
    this.at += 1;
    setEntry(object, key, this.value());
  }
}

/**
 * The value of a JSON text whose numbers the caller makes.
 * @param words whether NaN, Infinity and -Infinity are numbers
 * @throws SyntaxError, and RangeError when it is nested too deeply
 */
export const valueWith = (
  text: string,
  numberOf: (token: string) => unknown,
  words: 'strict' | 'words',
): unknown => new Values(text, numberOf, words === 'words' ? LENIENT : STRICT).whole();
