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
} from './json-characters';

// Counts the parts of a JSON text without making values: linear in its bytes, strings are skipped.
// json-values.ts and data/transcode/scanner.ts read values and positions.

export interface JsonLimits {
  /** Nesting of lists and objects. */
  readonly depth: number;
  /** Elements and members of all lists and objects. */
  readonly values: number;
  /** Lists and objects: an empty one takes fifty bytes of memory, and two of the text. */
  readonly containers: number;
  /** Names of one object: JSON.parse takes seconds for very many. */
  readonly names: number;
}

/** Limits of a body that is transcoded, and of a response. */
export const JSON_LIMITS: JsonLimits = {
  // Far above any tensor; our own calls, and those of most servers, do not reach a thousand.
  depth: 512,
  // A tensor of 1,000 images of 64 × 64 has four million.
  values: 5_000_000,
  containers: 1_000_000,
  // The vocabulary of a language model, by word.
  names: 262_144,
};

/** A text beyond the limits. */
export class JsonTooComplex extends Error {
  override readonly name = 'JsonTooComplex';
  constructor(
    readonly what: keyof JsonLimits,
    readonly limit: number,
  ) {
    super(WORDS[what](limit));
  }
}

const WORDS: Readonly<Record<keyof JsonLimits, (limit: number) => string>> = {
  depth: (limit) => `is nested too deeply: at most ${limit} lists and objects within each other`,
  values: (limit) => `has more than ${limit} values; send less at a time`,
  containers: (limit) => `has more than ${limit} lists and objects; send less at a time`,
  names: (limit) => `has an object with more than ${limit} names`,
};

/** End of the string that begins at `start`: the index after its quote. */
function behindQuote(bytes: Buffer, start: number): number {
  for (let end = bytes.indexOf(QUOTE, start + 1); end >= 0; end = bytes.indexOf(QUOTE, end + 1)) {
    let slashes = 0;
    while (bytes[end - 1 - slashes] === BACKSLASH) slashes += 1;
    if (slashes % 2 === 0) return end + 1;
  }
  return bytes.length;
}

/** Called for each member of the outermost object with the places of its name and its value. */
type OnMember = (nameAt: number, nameEnd: number, valueAt: number) => void;

class Survey {
  values = 0;
  private containers = 0;
  /** Names of each object that is open; −1: a list. */
  private readonly open: number[] = [];
  private names = -1;

  constructor(
    private readonly bytes: Buffer,
    private readonly limits: JsonLimits,
    private readonly onMember?: OnMember,
  ) {}

  private check(what: keyof JsonLimits, count: number): void {
    if (count > this.limits[what]) throw new JsonTooComplex(what, this.limits[what]);
  }

  private enter(names: number): void {
    this.open.push(this.names);
    this.names = names;
    this.values += 1;
    this.containers += 1;
    this.check('depth', this.open.length);
    this.check('containers', this.containers);
    this.check('values', this.values);
  }

  private name(nameAt: number, nameEnd: number, colonAt: number): void {
    if (this.names < 0) return;
    this.names += 1;
    this.check('names', this.names);
    if (this.open.length === 1) this.onMember?.(nameAt, nameEnd, colonAt + 1);
  }

  /** @returns whether every list and object ends */
  run(): boolean {
    const { bytes } = this;
    let from = 0;
    let to = 0;
    for (let at = 0; at < bytes.length; at += 1) {
      const code = bytes[at] as number;
      if (code === QUOTE) {
        from = at;
        to = behindQuote(bytes, at);
        at = to - 1;
      } else if (code === COMMA) {
        this.values += 1;
        this.check('values', this.values);
      } else if (code === COLON) this.name(from, to, at);
      else if (code === OPEN_LIST) this.enter(-1);
      else if (code === OPEN_OBJECT) this.enter(0);
      else if (code === CLOSE_LIST || code === CLOSE_OBJECT) {
        if (this.open.length === 0) return false;
        this.names = this.open.pop() ?? -1;
      }
    }
    return this.open.length === 0;
  }
}

/** Number of values of a text. @throws JsonTooComplex */
export function survey(bytes: Buffer, limits: JsonLimits = JSON_LIMITS): number {
  const own = new Survey(bytes, limits);
  own.run();
  return own.values;
}

/** For a text whose values are not made: only the depth takes memory. */
const PASSED_LIMITS: JsonLimits = {
  depth: 1_000_000,
  values: Infinity,
  containers: Infinity,
  names: Infinity,
};

/** A longer name cannot match. */
const MAX_NAME_BYTES = 100;

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

function textAt(bytes: Buffer, valueAt: number): unknown {
  let at = valueAt;
  while ((bytes[at] ?? QUOTE) <= BLANK) at += 1;
  return bytes[at] === QUOTE ? parsed(bytes.subarray(at, behindQuote(bytes, at))) : undefined;
}

function isWhole(own: Survey): boolean {
  try {
    return own.run();
  } catch (error) {
    if (error instanceof JsonTooComplex) return false;
    throw error;
  }
}

/**
 * The texts of one name in the outermost object of a JSON text; upper and lower case are the same.
 * A value that is not text is undefined.
 * @returns undefined when the text is not an object
 */
export function textsNamed(bytes: Buffer, name: string): readonly unknown[] | undefined {
  const found: unknown[] = [];
  const own = new Survey(bytes, PASSED_LIMITS, (nameAt, nameEnd, valueAt) => {
    if (nameEnd - nameAt > MAX_NAME_BYTES) return;
    const key = parsed(bytes.subarray(nameAt, nameEnd));
    if (typeof key === 'string' && key.toLowerCase() === name) found.push(textAt(bytes, valueAt));
  });
  let first = 0;
  while ((bytes[first] ?? QUOTE) <= BLANK) first += 1;
  return bytes[first] === OPEN_OBJECT && isWhole(own) ? found : undefined;
}

/** Below this size any text is fast; bytes. */
const SMALL_BYTES = 16_384;
/** A larger text is not parsed on the event loop; bytes. */
export const LARGE_BYTES = 262_144;
/** Nor is one with more values: reading and writing so many takes ten milliseconds. */
const LARGE_VALUES = 10_000;

/** Whether to parse it in a thread. */
export function isLarge(json: Buffer): boolean {
  if (json.length <= SMALL_BYTES) return false;
  if (json.length > LARGE_BYTES) return true;
  try {
    return survey(json) > LARGE_VALUES;
  } catch (error) {
    if (error instanceof JsonTooComplex) return true;
    throw error;
  }
}
