import { randomUUID } from 'node:crypto';

// JSON whose numbers survive: 9007199254740993 stays that, and 1.0 stays a float for a server that
// looks.

/** Stands before a number's text while it travels as a string; nobody outside can guess it. */
const MARK = `${randomUUID()}:`;
const MARKED = new RegExp(`"${MARK}([^"]*)"`, 'g');

/** A number that a double cannot hold as it was written. */
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

/** May a text hold numbers that JavaScript would write otherwise? Too many are asked, never too few. */
const SUSPECT = /\d[eE]|(?:\d\.?){16}|\.\d*0(?!\d)|-0(?![.\d])|0\.000000/;

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
/** What Python's json writes although it is no JSON. */
const NOT_A_NUMBER = /NaN|-?Infinity/y;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Index behind the string that begins at `start`. */
function behindString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes += 1;
    if (slashes % 2 === 0) return end + 1;
  }
  return text.length;
}

function tokenAt(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

/** Rewrites what stands outside of strings: each token of the pattern by what `change` gives for it. */
function rewritten(text: string, pattern: RegExp, change: (token: string) => string): string {
  let out = '';
  let kept = 0;
  for (let at = 0; at < text.length;) {
    if (text.charCodeAt(at) === QUOTE) {
      at = behindString(text, at);
      continue;
    }
    const token = tokenAt(pattern, text, at);
    if (token === undefined) {
      at += 1;
      continue;
    }
    const changed = change(token);
    if (changed !== token) {
      out += text.slice(kept, at) + changed;
      kept = at + token.length;
    }
    at += token.length;
  }
  return out + text.slice(kept);
}

const revive = (_key: string, value: unknown): unknown =>
  typeof value === 'string' && value.startsWith(MARK) ? new Exact(value.slice(MARK.length)) : value;

/**
 * As JSON.parse, but a number that a double would change is an `Exact`.
 * @throws SyntaxError
 */
export function readJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (!SUSPECT.test(text)) return value;
  const marked = rewritten(text, NUMBER, (token) =>
    String(Number(token)) === token ? token : `"${MARK}${token}"`,
  );
  return JSON.parse(marked, revive);
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
  return value instanceof Exact ? /^-?\d+$/.test(value.text) : Number.isSafeInteger(value);
}
