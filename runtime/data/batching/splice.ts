import type { Scanner } from '../transcode/scanner';
import { NotSimple } from '../transcode/scanner';

// Several requests as one, without making values of their text. A message is cut into what all
// requests of a kind have in common and the fields between, where the rows of each stand. Filled with
// the rows of many it is their joined call; the answer to that is cut the same way, and filled with
// the rows of one it is that one's answer, byte for byte as the server writes it.
//
// Texts are latin-1, so that a character is a byte: no text of a caller is decoded and written anew.

/** What stands in one place of a message, and differs from request to request. */
export type SpliceField =
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

export interface Splice {
  /** What stands before each field, and after the last. */
  readonly pieces: readonly string[];
  readonly fields: readonly SpliceField[];
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
interface RowRange {
  readonly cut: Splice;
  readonly from: number;
  readonly to: number;
}

const allRows = (cut: Splice): RowRange => ({ cut, from: 0, to: cut.rows });

function listText({ text, starts, ends }: Elements, from: number, to: number): string {
  return text.slice(starts[from], ends[to - 1]);
}

function bytesOf({ cut, from, to }: RowRange, at: number): Buffer {
  const field = cut.fields[at];
  if (field?.kind !== 'bytes') return Buffer.alloc(0);
  return field.bytes.subarray(field.boundaries[from], field.boundaries[to]);
}

/** What a field holds for these parts together. */
function fieldText(field: SpliceField, at: number, parts: readonly RowRange[]): string {
  switch (field.kind) {
    case 'id':
      return field.text;
    case 'rows':
      return String(parts.reduce((sum, { from, to }) => sum + to - from, 0));
    case 'bytes':
      return String(parts.reduce((sum, part) => sum + bytesOf(part, at).length, 0));
    case 'list':
      return parts.map((part) => listFieldText(part, at)).join(',');
  }
}

function listFieldText({ cut, from, to }: RowRange, at: number): string {
  const field = cut.fields[at];
  if (field?.kind !== 'list') return '';
  return listText(field.elements, from * field.perRow, to * field.perRow);
}

/** One message with the rows of all parts; they have the same pieces. */
function render(parts: readonly RowRange[], idText?: string): Message {
  const [{ cut }] = parts as readonly [RowRange];
  let text = cut.pieces[0] ?? '';
  for (const [at, field] of cut.fields.entries()) {
    const own = field.kind === 'id' ? (idText ?? field.text) : fieldText(field, at, parts);
    text += own + (cut.pieces[at + 1] ?? '');
  }
  const json = Buffer.from(text, 'latin1');
  const isBinary = cut.fields.some(({ kind }) => kind === 'bytes');
  if (!isBinary) return { body: json, jsonBytes: undefined };
  const tails = cut.fields.flatMap((_, at) => parts.map((part) => bytesOf(part, at)));
  return { body: Buffer.concat([json, ...tails]), jsonBytes: json.length };
}

/** Requests that go together have this in common. */
export function keyOf({ pieces, shape }: Splice): string {
  return `${shape}\0${pieces.join('\0')}`;
}

/** Do two requests of one key ask the same? Their ids do not matter. */
export function haveSameRows(a: Splice, b: Splice): boolean {
  if (a.rows !== b.rows) return false;
  return a.fields.every((field, at) => {
    if (field.kind === 'bytes') return bytesOf(allRows(a), at).equals(bytesOf(allRows(b), at));
    return listFieldText(allRows(a), at) === listFieldText(allRows(b), at);
  });
}

/** One message out of several of the same key. */
export function joinRequests(splices: readonly Splice[]): Message {
  return render(splices.map(allRows));
}

function idOf({ fields }: Splice): string | undefined {
  const field = fields.find(({ kind }) => kind === 'id');
  return field?.kind === 'id' ? field.text : undefined;
}

/** The answer of each request out of the one to all; undefined: it has not the rows of all. */
export function splitAnswer(
  answer: Splice,
  asked: readonly Splice[],
): readonly Message[] | undefined {
  if (answer.rows !== asked.reduce((sum, { rows }) => sum + rows, 0)) return undefined;
  let from = 0;
  return asked.map((cut) => {
    const part = { cut: answer, from, to: from + cut.rows };
    from += cut.rows;
    return render([part], idOf(cut));
  });
}

/** Collects pieces and fields while a text is read from its begin to its end. */
export class SpliceBuilder {
  readonly pieces: string[] = [];
  readonly fields: SpliceField[] = [];
  private at = 0;

  constructor(readonly text: string) {}

  /** @returns where its field is, which is filled in when all of it is known */
  field(from: number, to: number, field: SpliceField): number {
    this.pieces.push(this.text.slice(this.at, from));
    this.at = to;
    return this.fields.push(field) - 1;
  }

  build(rows: number, shape = ''): Splice {
    const pieces = [...this.pieces, this.text.slice(this.at)];
    return { pieces, fields: this.fields, rows, shape };
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
