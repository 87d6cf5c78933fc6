import type { OnReadOpts, SocketConstructorOpts } from 'node:net';
import { Socket } from 'node:net';

/** Time to read the bytes that arrived before the server closed; milliseconds. */
const LAST_WORDS_MS = 100;

type Done = (error?: Error | null) => void;

/**
 * A server may answer and close before it has all of a body, with 413 as a rule. A write fails then
 * while the answer lies unread, and Node would throw that away with the connection.
 */
export class ClientSocket extends Socket {
  /** Reports a failed write only after the received bytes are read. */
  isUploading = false;

  constructor(onread: OnReadOpts) {
    // As `connect` hands it on; the types know it only there.
    const options: SocketConstructorOpts & { readonly onread: OnReadOpts } = { onread };
    super(options);
  }

  override _write(chunk: unknown, encoding: BufferEncoding, done: Done): void {
    // oxlint-disable-next-line no-underscore-dangle -- so Node's streams call it
    super._write(chunk, encoding, this.isUploading ? this.patient(done) : done);
  }

  override _writev(chunks: { chunk: unknown; encoding: BufferEncoding }[], done: Done): void {
    // oxlint-disable-next-line no-underscore-dangle -- so Node's streams call it
    super._writev?.(chunks, this.isUploading ? this.patient(done) : done);
  }

  private patient(done: Done): Done {
    return (error) => {
      if (error === undefined || error === null) return done();
      const late = setTimeout(() => done(error), LAST_WORDS_MS);
      this.once('close', () => clearTimeout(late));
    };
  }
}
