import type { Fault } from './error';
import { pathText } from './path';
import { MAX_DEPTH, MAX_VALUES } from './plain';

// JSON that people write (definitions, bodies of the management API), read strictly (RFC 8259): a
// repeated key is an error, a fault has its place, and a number keeps its spelling. Bodies of
// inference have another reader: they are large, and exact numbers matter more than places.

/** A fault of a text, and its place. */
export class JsonTextError extends Error {
  override readonly name = 'JsonTextError';

  constructor(
    readonly text: string,
    /** Offset in characters. */
    readonly offset: number,
    /** The fault; never a part of the text. */
    readonly words: string,
    readonly path: string = '',
  ) {
    super(path === '' ? words : `${path}: ${words}`);
  }

  /** Both from 1. */
  get place(): { readonly line: number; readonly column: number } {
    return placeAt(this.text, this.offset);
  }

  get fault(): Fault {
    return { path: this.path, message: this.words };
  }
}

/** A value and its place. */
interface Node {
  readonly offset: number;
  /** The token of a number, `true`, `false` or `null`. */
  readonly source?: string;
  readonly inner?: ReadonlyMap<PropertyKey, Node>;
}

export interface JsonText {
  readonly value: unknown;
  /** Line of a path, from 1; of its nearest parent when it is missing. */
  readonly lineOf: (path: readonly PropertyKey[]) => number;
  /** A number (or true, false, null) as it was written. */
  readonly sourceOf: (path: readonly PropertyKey[]) => string | undefined;
}

function placeAt(text: string, offset: number) {
  const lines = text.slice(0, offset).split('\n');
  return { line: lines.length, column: (lines.at(-1) ?? '').length + 1 };
}

/** The text for a key that is given in two lines. */
export const twiceText = (first: number, second: number): string =>
  first === second
    ? `is given twice in line ${first}; remove one`
    : `is given twice, in lines ${first} and ${second}; remove one`;

const BLANKS = /[ \t\r\n]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
const BACKSLASH = 0x5c;
const BYTE_ORDER_MARK = '\uFEFF';

/** Index after the text that begins at `start`; 0 when it does not end. */
function stringEnd(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes += 1;
    if (slashes % 2 === 0) return end + 1;
  }
  return 0;
}

type Parsed = readonly [value: unknown, node: Node];

class JsonReader {
  private at: number;
  private values = 0;
  private readonly path: PropertyKey[] = [];

  constructor(private readonly text: string) {
    this.at = text.startsWith(BYTE_ORDER_MARK) ? 1 : 0;
  }

  whole(): Parsed {
    const read = this.value();
    this.skip();
    if (this.at < this.text.length) throw this.wrong('must end here');
    return read;
  }

  private wrong(words: string, offset = this.at): JsonTextError {
    const isOver = offset >= this.text.length;
    return new JsonTextError(this.text, offset, isOver ? `ends too early: ${words}` : words);
  }

  private skip(): void {
    this.match(BLANKS);
  }

  /** Consumes the next characters if they match. */
  private match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const [token] = pattern.exec(this.text) ?? [];
    if (token !== undefined) this.at += token.length;
    return token;
  }

  private takes(character: string): boolean {
    this.skip();
    if (this.text[this.at] !== character) return false;
    this.at += 1;
    return true;
  }

  private value(): Parsed {
    this.skip();
    this.values += 1;
    if (this.values > MAX_VALUES) throw this.wrong(`has more than ${MAX_VALUES} values`);
    if (this.path.length > MAX_DEPTH) throw this.wrong(`is nested more than ${MAX_DEPTH} deep`);
    const offset = this.at;
    switch (this.text[offset]) {
      case '{':
        return this.object();
      case '[':
        return this.list();
      case '"':
        return [this.string(), { offset }];
      default: {
        const source = this.match(NUMBER) ?? this.match(WORD);
        if (source === undefined) throw this.wrong('a value is expected here');
        return [JSON.parse(source), { offset, source }];
      }
    }
  }

  private string(): string {
    const offset = this.at;
    const end = stringEnd(this.text, offset);
    if (end === 0) throw this.wrong('the string that begins here does not end', offset);
    this.at = end;
    try {
      return JSON.parse(this.text.slice(offset, end)) as string;
    } catch {
      const words = 'this text holds a control character or a wrong escape';
      throw this.wrong(words, offset);
    }
  }

  private list(): Parsed {
    const offset = this.at;
    const items: unknown[] = [];
    const inner = new Map<PropertyKey, Node>();
    this.at += 1;
    if (this.takes(']')) return [items, { offset, inner }];
    do {
      this.path.push(items.length);
      const [item, node] = this.value();
      this.path.pop();
      inner.set(items.length, node);
      items.push(item);
    } while (this.takes(','));
    if (!this.takes(']')) throw this.wrong('`,` or `]` is expected here');
    return [items, { offset, inner }];
  }

  private object(): Parsed {
    const offset = this.at;
    const entries: [string, unknown][] = [];
    const inner = new Map<PropertyKey, Node>();
    this.at += 1;
    if (this.takes('}')) return [{}, { offset, inner }];
    do {
      const key = this.key(inner);
      this.path.push(key);
      const [value, node] = this.value();
      this.path.pop();
      inner.set(key, node);
      entries.push([key, value]);
    } while (this.takes(','));
    if (!this.takes('}')) throw this.wrong('`,` or `}` is expected here');
    // Defines the keys instead of assigning: `__proto__` is an ordinary key.
    return [Object.fromEntries(entries), { offset, inner }];
  }

  private key(known: ReadonlyMap<PropertyKey, Node>): string {
    this.skip();
    const offset = this.at;
    if (this.text[offset] !== '"') throw this.wrong('a key in double quotes is expected here');
    const key = this.string();
    const before = known.get(key);
    if (before !== undefined) {
      const [first, second] = [before.offset, offset].map((one) => placeAt(this.text, one).line);
      const words = twiceText(first ?? 1, second ?? 1);
      throw new JsonTextError(this.text, offset, words, pathText([...this.path, key]));
    }
    if (!this.takes(':')) throw this.wrong('`:` is expected here');
    return key;
  }
}

/** @throws JsonTextError */
export function readJsonText(text: string): JsonText {
  const [value, root] = new JsonReader(text).whole();
  return {
    value,
    lineOf: (path) => {
      let node = root;
      for (const part of path) node = node.inner?.get(part) ?? node;
      return placeAt(text, node.offset).line;
    },
    sourceOf: (path) =>
      path.reduce<Node | undefined>((node, part) => node?.inner?.get(part), root)?.source,
  };
}
