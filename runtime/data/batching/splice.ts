import type { Scanner } from '../transcode/scanner';
import { NotSimple } from '../transcode/scanner';

// Joins several requests into one without parsing their values. A message is split into fixed
// pieces, which all requests of a key share, and fields between them, which hold the rows. Filled
// with the rows of all requests it is the batch request. The answer is split in the same way;
// filled with the rows of one request it is that request's answer, byte for byte.
//
// Texts are Latin-1, so that a character is a byte: caller text is never decoded and re-encoded.

/** A part of a message that differs between requests. */
export type SpliceField =
  /** The number of rows. */
  | { readonly kind: 'rows' }
  /** The ID that the caller gave its request. */
  | { readonly kind: 'id'; readonly text: string }
  /** Elements of a list, `perRow` for each row. */
  | { readonly kind: 'list'; readonly elements: Elements; readonly perRow: number }
  /** Size and bytes of a binary tensor; row n starts at the nth boundary. */
  | { readonly kind: 'bytes'; readonly bytes: Buffer; readonly boundaries: readonly number[] };

/** Where the elements of a list begin and end in a text. */
export interface Elements {
  readonly text: string;
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

export interface Splice {
  /** The text before each field, and after the last. */
  readonly pieces: readonly string[];
  readonly fields: readonly SpliceField[];
  readonly rows: number;
  /** Must be equal in requests of one batch, besides the pieces. */
  readonly shape: string;
}

/** A body: JSON, then binary tensors (`Inference-Header-Content-Length`). */
export interface Message {
  readonly body: Buffer;
  /** Bytes of JSON; undefined: all of it is JSON. */
  readonly jsonBytes: number | undefined;
}

/** Rows of one splice, `from` (included) to `to` (excluded). */
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

/** Text of a field for all parts. */
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

/** One message with the rows of all parts, which share their pieces. */
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

/** Equal for requests that can be batched. */
export function keyOf({ pieces, shape }: Splice): string {
  return `${shape}\0${pieces.join('\0')}`;
}

/** Two requests of one key have the same rows, regardless of their IDs. */
export function haveSameRows(a: Splice, b: Splice): boolean {
  if (a.rows !== b.rows) return false;
  return a.fields.every((field, at) => {
    if (field.kind === 'bytes') return bytesOf(allRows(a), at).equals(bytesOf(allRows(b), at));
    return listFieldText(allRows(a), at) === listFieldText(allRows(b), at);
  });
}

/** Joins requests of the same key into one message. */
export function joinRequests(splices: readonly Splice[]): Message {
  return render(splices.map(allRows));
}

function idOf({ fields }: Splice): string | undefined {
  const field = fields.find(({ kind }) => kind === 'id');
  return field?.kind === 'id' ? field.text : undefined;
}

/** Splits a batch answer by request; undefined: its number of rows differs. */
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

/** Collects pieces and fields while a text is scanned. */
export class SpliceBuilder {
  readonly pieces: string[] = [];
  readonly fields: SpliceField[] = [];
  private at = 0;

  constructor(readonly text: string) {}

  /** @returns the index of the field, which is completed later */
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

/** Calls for each key. Gives up on escaped or duplicate keys: parsers disagree about them. */
export function eachKey(scanner: Scanner, onKey: (key: string) => void): void {
  const seen = new Set<string>();
  scanner.object((key) => {
    if (key.includes('\\') || seen.has(key)) throw new NotSimple();
    seen.add(key);
    onKey(key);
  });
}

/** Reads a value. @returns its end, without trailing white space */
export function endOf(scanner: Scanner): number {
  const from = scanner.position;
  return from + scanner.value().trimEnd().length;
}

/** Reads a list. @param take reads one element and returns its end */
export function elementsOf(scanner: Scanner, take: (scanner: Scanner) => number): Elements {
  const starts: number[] = [];
  const ends: number[] = [];
  scanner.list(() => {
    starts.push(scanner.position);
    ends.push(take(scanner));
  });
  return { text: scanner.text, starts, ends };
}
