import type { JsonPath } from '../../lib/config';
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
} from '../shared/json-characters';

// The text is copied, not parsed and written again: numbers keep their digits, and an object with
// the same name twice keeps both members, each of them redacted.

/** Stands for a value. */
const REDACTED = '"[redacted]"';

/** Programs that read the record, and `audit tail`, go into nested values by recursion. */
const MAX_DEPTH = 128;

/** The rest of a path, below the place that was reached. */
interface PathRest {
  readonly step: JsonPath[number];
  readonly next: PathRest | undefined;
}

const restOf = ([step, ...others]: JsonPath): PathRest | undefined =>
  step && { step, next: restOf(others) };

/** Paths as `redactJson` wants them. */
export type Redactions = readonly PathRest[];

export const redactionsOf = (paths: readonly JsonPath[]): Redactions =>
  paths.map(restOf).filter((rest) => rest !== undefined);

const NONE: Redactions = [];

/** Paths that go on below a member or an element; undefined: it is redacted. */
function below(rests: Redactions, name: string | undefined): Redactions | undefined {
  if (rests.length === 0) return NONE;
  const found: PathRest[] = [];
  for (const rest of rests) {
    const { step, next } = rest;
    if (step.isDeep && !found.includes(rest)) found.push(rest);
    if (step.name !== undefined && step.name !== name) continue;
    if (next === undefined) return undefined;
    if (!found.includes(next)) found.push(next);
  }
  return found;
}

/** A list or object that is open. */
interface OpenContainer {
  readonly outer: OpenContainer | undefined;
  /** 1: the outermost. */
  readonly depth: number;
  readonly isList: boolean;
  readonly rests: Redactions;
  /** Of the elements of a list, or of the member whose name was read; undefined: redacted. */
  inner: Redactions | undefined;
  expectsName: boolean;
}

class Redactor {
  private at = 0;
  /** What is before this is copied. */
  private copied = 0;
  private out = '';
  /** The innermost that is open. */
  private container: OpenContainer | undefined;

  constructor(
    private readonly text: string,
    private readonly redactions: Redactions,
  ) {}

  /** @returns undefined when the text is nested too deeply */
  run(): string | undefined {
    const { text } = this;
    while (this.at < text.length) {
      if (text.charCodeAt(this.at) <= BLANK) this.replace(this.at + 1, '');
      else if (!this.token(text.charCodeAt(this.at))) return undefined;
    }
    return this.out + text.slice(this.copied);
  }

  private token(code: number): boolean {
    const { container } = this;
    switch (code) {
      case COLON:
        break;
      case COMMA:
        if (container !== undefined) container.expectsName = !container.isList;
        break;
      case CLOSE_LIST:
      case CLOSE_OBJECT:
        this.container = container?.outer;
        break;
      default:
        if (code !== QUOTE || container?.expectsName !== true) return this.value(code);
        return this.name(container);
    }
    this.at += 1;
    return true;
  }

  private name(container: OpenContainer): true {
    const end = this.behindString(this.at);
    const written = this.text.slice(this.at, end);
    const name = written.includes('\\') ? (JSON.parse(written) as string) : written.slice(1, -1);
    container.inner = below(container.rests, name);
    container.expectsName = false;
    this.at = end;
    return true;
  }

  private value(code: number): boolean {
    const { container } = this;
    const rests = container === undefined ? this.redactions : container.inner;
    if (rests === undefined) this.replace(this.behindValue(), REDACTED);
    else if (code === OPEN_LIST || code === OPEN_OBJECT) return this.enter(code, rests);
    else this.at = this.behindScalar(this.at);
    return true;
  }

  private enter(code: number, rests: Redactions): boolean {
    const isList = code === OPEN_LIST;
    const inner = isList ? below(rests, undefined) : NONE;
    const outer = this.container;
    const depth = (outer?.depth ?? 0) + 1;
    this.container = { outer, depth, isList, rests, inner, expectsName: !isList };
    this.at += 1;
    return depth <= MAX_DEPTH;
  }

  /** Puts something in the place of the text up to `end`. */
  private replace(end: number, by: string): void {
    this.out += this.text.slice(this.copied, this.at) + by;
    this.at = end;
    this.copied = end;
  }

  /** End of the string that begins at `start`: the index after its quote. */
  private behindString(start: number): number {
    const { text } = this;
    for (let end = text.indexOf('"', start + 1); ; end = text.indexOf('"', end + 1)) {
      let slashes = 0;
      while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes += 1;
      if (slashes % 2 === 0) return end + 1;
    }
  }

  /** End of the number, literal or string that begins at `start`. */
  private behindScalar(start: number): number {
    const { text } = this;
    if (text.charCodeAt(start) === QUOTE) return this.behindString(start);
    let end = start;
    for (; end < text.length; end += 1) {
      const code = text.charCodeAt(end);
      if (code <= BLANK || code === COMMA || code === CLOSE_LIST || code === CLOSE_OBJECT) break;
    }
    return end;
  }

  /** End of the value here, whatever it is and however deep. */
  private behindValue(): number {
    const { text } = this;
    let depth = 0;
    let end = this.at;
    do {
      const code = text.charCodeAt(end);
      if (code === OPEN_LIST || code === OPEN_OBJECT) depth += 1;
      if (code === CLOSE_LIST || code === CLOSE_OBJECT) depth -= 1;
      end = code === QUOTE ? this.behindString(end) : end + 1;
    } while (depth > 0);
    return end === this.at + 1 ? this.behindScalar(this.at) : end;
  }
}

/**
 * A JSON text on one line, with the values at these paths replaced by `REDACTED`. Linear in the
 * text, times the number of paths.
 * @param text well-formed JSON
 * @returns undefined when it is nested too deeply to be read back
 */
export const redactJson = (text: string, redactions: Redactions): string | undefined =>
  new Redactor(text, redactions).run();
