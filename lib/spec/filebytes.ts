/** A file whose bytes are read where they are needed: models may be larger than memory. */
export interface FileBytes {
  readonly size: number;
  /** The bytes from `start` on, fewer at the end of the file. */
  readonly read: (start: number, length: number) => Uint8Array;
}

/**
 * Work in steps; each yields its cost, in fields read. The caller yields to the event loop between
 * steps: a file may have millions of fields.
 */
export type Steps<T> = Generator<number, T, void>;

export function bytesInMemory(bytes: Uint8Array): FileBytes {
  return { size: bytes.length, read: (start, length) => bytes.subarray(start, start + length) };
}

const PAGE_BYTES = 1 << 16;

/** A file whose last page stays in memory: fields are read byte by byte. */
export class PagedFile {
  #start = 0;
  #page: Uint8Array = new Uint8Array();

  constructor(readonly file: FileBytes) {}

  get size(): number {
    return this.file.size;
  }

  /** One byte; undefined behind the end. */
  at(place: number): number | undefined {
    const inside = place - this.#start;
    if (inside >= 0 && inside < this.#page.length) return this.#page[inside];
    this.#start = place - (place % PAGE_BYTES);
    this.#page = this.file.read(this.#start, PAGE_BYTES);
    return this.#page[place - this.#start];
  }

  slice(start: number, end: number): Uint8Array {
    return this.file.read(start, end - start);
  }
}
