import type { FileLine } from './line-reader';

/** Why bytes could not be written, and how many of them were. */
export class PartialWrite extends Error {
  constructor(
    readonly written: number,
    cause: unknown,
  ) {
    super((cause as Error).message, { cause });
  }
}

/** A place that was opened anew. */
export interface Opened {
  /** Whole lines at its end, without line feeds: two at most. Empty: nothing is in it. */
  readonly lastLines: readonly string[];
}

/** Where lines go. One call at a time. */
export interface Sink {
  /**
   * Opens the place, and makes room for so many bytes. What was opened comes back; undefined: it is
   * the place of the call before, unharmed.
   */
  readonly open: (bytes: number) => Promise<Opened | undefined>;
  /** All lines of the place that is open. */
  readonly lines: () => AsyncIterable<FileLine>;
  /** Puts a file away whose lines cannot be continued; the next `open` makes a new one. */
  readonly setAside: () => Promise<void>;
  /** The bytes, whole lines, may be used again afterwards. @throws PartialWrite */
  readonly append: (bytes: Buffer) => Promise<void>;
  readonly close: () => Promise<void>;
}

const NEW: Opened = { lastLines: [] };

/** Of a place that cannot be read. */
export async function* noLines(): AsyncGenerator<FileLine> {
  // Nothing.
}

/** Lines to a stream: it has no past, and nothing of it can be put away. */
export function streamSink(stream: NodeJS.WritableStream): Sink {
  let isNew = true;
  // Its writes tell; without a listener a pipe whose reader is gone would end the process.
  stream.on('error', () => undefined);
  return {
    open: () => {
      const opened = isNew ? NEW : undefined;
      isNew = false;
      return Promise.resolve(opened);
    },
    lines: noLines,
    setAside: () => Promise.resolve(),
    append: (bytes) =>
      new Promise((resolve, reject) => {
        stream.write(bytes, (error) => (error ? reject(new PartialWrite(0, error)) : resolve()));
      }),
    close: () => Promise.resolve(),
  };
}
