import { createReadStream } from 'node:fs';

/** No line of a record comes near it; a file without line feeds must not fill the memory. */
const MAX_LINE_BYTES = 1_048_576;
const LINE_FEED = 0x0a;

/** A line without its line feed; `isTorn`: the file ends before it. */
export interface FileLine {
  readonly bytes: Buffer;
  readonly isTorn: boolean;
}

/** Takes pieces of a file apart into lines. */
export class LineSplitter {
  private rest: Buffer = Buffer.alloc(0);

  /** The lines that end in this piece. @throws for a line that is too long to be one */
  take(piece: Buffer): readonly Buffer[] {
    const all = this.rest.length === 0 ? piece : Buffer.concat([this.rest, piece]);
    const lines: Buffer[] = [];
    let from = 0;
    for (let at = all.indexOf(LINE_FEED); at >= 0; at = all.indexOf(LINE_FEED, from)) {
      lines.push(all.subarray(from, at));
      from = at + 1;
    }
    this.rest = Buffer.from(all.subarray(from));
    if (this.rest.length <= MAX_LINE_BYTES) return lines;
    throw new Error(`a line has more than ${MAX_LINE_BYTES} bytes: this is not an audit file`);
  }

  /** What is left without a line feed. */
  end(): Buffer {
    return this.rest;
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
