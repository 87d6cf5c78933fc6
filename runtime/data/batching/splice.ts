import type { Scanner } from '../transcode/scanner';
import { NotSimple } from '../transcode/scanner';

// Several requests as one, without making values of their text. A message is cut into what all
// requests of a kind have in common and the holes between, where the rows of each stand. Filled with
// the rows of many it is their joined call; the answer to that is cut the same way, and filled with
// the rows of one it is that one's answer, byte for byte as the server writes it.
//
// Texts are latin-1, so that a character is a byte: no text of a caller is decoded and written anew.

/** What stands in one place of a message, and differs from request to request. */
export type Hole =
  /** The number of rows. */
  | { readonly kind: 'rows' }
  /** What the caller calls its request. */
  | { readonly kind: 'id'; readonly text: string }
  /** Elements of a list, so many for a row. */
  | { readonly kind: 'list'; readonly elements: Elements; readonly perRow: number }
  /** The size of a tensor behind the JSON, and the tensor; row n begins at the nth boundary. */
  | { readonly kind: 'bytes'; readonly bytes: Buffer; readonly boundaries: readonly number[] };

/** Where the elements of a list begin and end in a text. */
export interface Elements {
  readonly text: string;
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

export interface Cut {
  /** What stands before each hole, and after the last. */
  readonly pieces: readonly string[];
  readonly holes: readonly Hole[];
  readonly rows: number;
  /** What else must be equal in requests that go together. */
  readonly shape: string;
}

/** A body: JSON, and behind it tensors as bytes (`Inference-Header-Content-Length`). */
export interface Message {
  readonly body: Buffer;
  /** Bytes of JSON; undefined: it is all JSON. */
  readonly jsonBytes: number | undefined;
}

/** Rows of one cut, from (included) to (not included). */
interface Part {
  readonly cut: Cut;
  readonly from: number;
  readonly to: number;
}

const wholeOf = (cut: Cut): Part => ({ cut, from: 0, to: cut.rows });

function listText({ text, starts, ends }: Elements, from: number, to: number): string {
  return text.slice(starts[from], ends[to - 1]);
}

function bytesOf({ cut, from, to }: Part, at: number): Buffer {
  const hole = cut.holes[at];
  if (hole?.kind !== 'bytes') return Buffer.alloc(0);
  return hole.bytes.subarray(hole.boundaries[from], hole.boundaries[to]);
}

/** What a hole holds for these parts together. */
function textIn(hole: Hole, at: number, parts: readonly Part[]): string {
  switch (hole.kind) {
    case 'id':
      return hole.text;
    case 'rows':
      return String(parts.reduce((sum, { from, to }) => sum + to - from, 0));
    case 'bytes':
      return String(parts.reduce((sum, part) => sum + bytesOf(part, at).length, 0));
    case 'list':
      return parts.map((part) => listIn(part, at)).join(',');
  }
}

function listIn({ cut, from, to }: Part, at: number): string {
  const hole = cut.holes[at];
  if (hole?.kind !== 'list') return '';
  return listText(hole.elements, from * hole.perRow, to * hole.perRow);
}

/** One message with the rows of all parts; they have the same pieces. */
function fill(parts: readonly Part[], idText?: string): Message {
  const [{ cut }] = parts as readonly [Part];
  let text = cut.pieces[0] ?? '';
  for (const [at, hole] of cut.holes.entries()) {
    const own = hole.kind === 'id' ? (idText ?? hole.text) : textIn(hole, at, parts);
    text += own + (cut.pieces[at + 1] ?? '');
  }
  const json = Buffer.from(text, 'latin1');
  const isBinary = cut.holes.some(({ kind }) => kind === 'bytes');
  if (!isBinary) return { body: json, jsonBytes: undefined };
  const tails = cut.holes.flatMap((_, at) => parts.map((part) => bytesOf(part, at)));
  return { body: Buffer.concat([json, ...tails]), jsonBytes: json.length };
}

/** Requests that go together have this in common. */
export function keyOf({ pieces, shape }: Cut): string {
  return `${shape}\0${pieces.join('\0')}`;
}

/** Do two requests of one key ask the same? Their ids do not matter. */
export function haveSameRows(a: Cut, b: Cut): boolean {
  if (a.rows !== b.rows) return false;
  return a.holes.every((hole, at) => {
    if (hole.kind === 'bytes') return bytesOf(wholeOf(a), at).equals(bytesOf(wholeOf(b), at));
    return listIn(wholeOf(a), at) === listIn(wholeOf(b), at);
  });
}

/** One message out of several of the same key. */
export function joined(cuts: readonly Cut[]): Message {
  return fill(cuts.map(wholeOf));
}

function idOf({ holes }: Cut): string | undefined {
  const hole = holes.find(({ kind }) => kind === 'id');
  return hole?.kind === 'id' ? hole.text : undefined;
}

/** The answer of each request out of the one to all; undefined: it has not the rows of all. */
export function split(answer: Cut, asked: readonly Cut[]): readonly Message[] | undefined {
  if (answer.rows !== asked.reduce((sum, { rows }) => sum + rows, 0)) return undefined;
  let from = 0;
  return asked.map((cut) => {
    const part = { cut: answer, from, to: from + cut.rows };
    from += cut.rows;
    return fill([part], idOf(cut));
  });
}

/** Collects pieces and holes while a text is read from its begin to its end. */
export class Cutter {
  readonly pieces: string[] = [];
  readonly holes: Hole[] = [];
  private at = 0;

  constructor(readonly text: string) {}

  /** @returns where its hole is, which is filled in when all of it is known */
  cut(from: number, to: number, hole: Hole): number {
    this.pieces.push(this.text.slice(this.at, from));
    this.at = to;
    return this.holes.push(hole) - 1;
  }

  end(rows: number, shape = ''): Cut {
    const pieces = [...this.pieces, this.text.slice(this.at)];
    return { pieces, holes: this.holes, rows, shape };
  }
}

/** Calls for each key. A name written with escapes, or twice, means one thing to one reader only. */
export function eachKey(scanner: Scanner, onKey: (key: string) => void): void {
  const seen = new Set<string>();
  scanner.object((key) => {
    if (key.includes('\\') || seen.has(key)) throw new NotSimple();
    seen.add(key);
    onKey(key);
  });
}

/** Takes a value. @returns where it ends, without the blanks behind it */
export function endOf(scanner: Scanner): number {
  const from = scanner.position;
  return from + scanner.value().trimEnd().length;
}

/** Takes a list. @param take takes one element and says where it ends */
export function elementsOf(scanner: Scanner, take: (scanner: Scanner) => number): Elements {
  const starts: number[] = [];
  const ends: number[] = [];
  scanner.list(() => {
    starts.push(scanner.position);
    ends.push(take(scanner));
  });
  return { text: scanner.text, starts, ends };
}
