import { ChunkedDecoder } from './chunked';
import type { Framing } from '../fields';

/** Extracts a body from the bytes of a connection. Pure: bytes in, pieces out. */
export interface BodyReader {
  readonly isDone: boolean;
  /** Is it complete when the connection ends now? */
  readonly mayEnd: boolean;
  /** Gives pieces of the body to `sink`. @returns how many bytes were taken @throws HttpFault */
  readonly write: (bytes: Buffer, sink: (piece: Buffer) => void) => number;
}

class LengthReader implements BodyReader {
  constructor(private left: number) {}

  get isDone(): boolean {
    return this.left === 0;
  }

  get mayEnd(): boolean {
    return this.isDone;
  }

  write(bytes: Buffer, sink: (piece: Buffer) => void): number {
    const taken = Math.min(bytes.length, this.left);
    this.left -= taken;
    if (taken > 0) sink(taken === bytes.length ? bytes : bytes.subarray(0, taken));
    return taken;
  }
}

class ChunkedReader extends ChunkedDecoder implements BodyReader {
  get mayEnd(): boolean {
    return this.isDone;
  }
}

/** Whatever comes until the connection ends. */
const UNTIL_CLOSE: BodyReader = {
  isDone: false,
  mayEnd: true,
  write: (bytes, sink) => {
    sink(bytes);
    return bytes.length;
  },
};

export function bodyReaderOf(framing: Framing): BodyReader {
  if (framing.kind === 'chunked') return new ChunkedReader();
  if (framing.kind === 'close') return UNTIL_CLOSE;
  return new LengthReader(framing.kind === 'length' ? framing.bytes : 0);
}
