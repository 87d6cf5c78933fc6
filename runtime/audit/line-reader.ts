import { createReadStream } from 'node:fs';

/** No line of a record comes near it; a file without line feeds must not fill the memory. */
export const MAX_LINE_BYTES = 1_048_576;
const LINE_FEED = 0x0a;

/** A line without its line feed; `isTorn`: the file ends before it. */
export interface FileLine {
  /** Of a line longer than `MAX_LINE_BYTES`, its beginning, which is one byte longer. */
  readonly bytes: Buffer;
  readonly isTorn: boolean;
}

/** Takes pieces of a file apart into lines. */
export class LineSplitter {
  private parts: Buffer[] = [];
  private held = 0;

  /** The lines that end in this piece. */
  take(piece: Buffer): readonly Buffer[] {
    const lines: Buffer[] = [];
    let from = 0;
    for (let at = piece.indexOf(LINE_FEED); at >= 0; at = piece.indexOf(LINE_FEED, from)) {
      this.hold(piece.subarray(from, at));
      lines.push(this.end());
      from = at + 1;
    }
    this.hold(piece.subarray(from));
    return lines;
  }

  private hold(part: Buffer): void {
    const kept = part.subarray(0, MAX_LINE_BYTES + 1 - this.held);
    if (kept.length > 0) this.parts.push(kept);
    this.held += kept.length;
  }

  /** What is left without a line feed. */
  end(): Buffer {
    const [first = Buffer.alloc(0)] = this.parts;
    const line = this.parts.length <= 1 ? first : Buffer.concat(this.parts);
    this.parts = [];
    this.held = 0;
    return line;
  }
}

/** The lines of a file, a piece of it at a time. */
export async function* linesOf(file: string): AsyncGenerator<FileLine> {
  const splitter = new LineSplitter();
  for await (const piece of createReadStream(file)) {
    for (const bytes of splitter.take(piece as Buffer)) yield { bytes, isTorn: false };
  }
  const rest = splitter.end();
  if (rest.length > 0) yield { bytes: rest, isTorn: true };
}
