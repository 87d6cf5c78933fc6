import { behindString } from './tokens';
import { setEntry } from '../../lib/spec/entry';

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const BLANK = 0x20;

const WORDS: Readonly<Record<number, { readonly length: number; readonly value: unknown }>> = {
  0x66: { length: 5, value: false },
  0x6e: { length: 4, value: null },
  0x74: { length: 4, value: true },
};

/** Between two values, or behind the last: what ends a number. */
const endsNumber = (code: number): boolean =>
  code === COMMA ||
  code <= BLANK ||
  code === CLOSE_LIST ||
  code === CLOSE_OBJECT ||
  Number.isNaN(code);

/** Makes values of a text that JSON.parse has taken already: nothing is checked here. */
class Values {
  private at = 0;

  constructor(
    private readonly text: string,
    private readonly numberOf: (token: string) => unknown,
  ) {}

  /** The character that comes next, blanks apart. */
  private get next(): number {
    while (this.text.charCodeAt(this.at) <= BLANK) this.at += 1;
    return this.text.charCodeAt(this.at);
  }

  value(): unknown {
    const { next } = this;
    if (next === QUOTE) return this.string();
    if (next === OPEN_LIST) return this.list();
    if (next === OPEN_OBJECT) return this.object();
    const word = WORDS[next];
    if (word === undefined) return this.number();
    this.at += word.length;
    return word.value;
  }

  private number(): unknown {
    const from = this.at;
    while (!endsNumber(this.text.charCodeAt(this.at))) this.at += 1;
    return this.numberOf(this.text.slice(from, this.at));
  }

  private string(): string {
    const from = this.at;
    this.at = behindString(this.text, from);
    const own = this.text.slice(from + 1, this.at - 1);
    return own.includes('\\') ? (JSON.parse(`"${own}"`) as string) : own;
  }

  private list(): unknown[] {
    const items: unknown[] = [];
    this.at += 1;
    while (this.next !== CLOSE_LIST) {
      items.push(this.value());
      if (this.next === COMMA) this.at += 1;
    }
    this.at += 1;
    return items;
  }

  private object(): object {
    const value = {};
    this.at += 1;
    while (this.next !== CLOSE_OBJECT) {
      const key = this.string();
      // The colon.
      if (this.next > BLANK) this.at += 1;
      setEntry(value, key, this.value());
      if (this.next === COMMA) this.at += 1;
    }
    this.at += 1;
    return value;
  }
}

/**
 * The value of a text whose numbers the caller makes.
 * @param text JSON.parse takes it, perhaps with other numbers
 */
export const valueWith = (text: string, numberOf: (token: string) => unknown): unknown =>
  new Values(text, numberOf).value();
