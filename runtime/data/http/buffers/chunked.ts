import { checkText, fieldsOf, HttpFault, MAX_HEAD_BYTES } from '../fields';

/** A size line with its extensions; longer ones only waste our time. */
const MAX_SIZE_LINE_BYTES = 256;
/** 13 hex digits are below 2^52. Behind them `;name`, `;name=value` or `;name="value"`. */
const SIZE_LINE =
  /^([0-9A-Fa-f]{1,13})(?:;[!#$%&'*+.^_`|~\w-]+(?:=(?:[!#$%&'*+.^_`|~\w-]+|"[\t\x20\x21\x23-\x5b\x5d-\x7e]*"))?)*$/;
const CR = 0x0d;
const LF = 0x0a;
const MAX_SIZE_DIGITS = 13;

/** The value of each byte that is a hex digit, else -1. */
const HEX_VALUES = Int8Array.from({ length: 256 }, (_, byte) =>
  /[0-9A-Fa-f]/.test(String.fromCharCode(byte)) ? parseInt(String.fromCharCode(byte), 16) : -1,
);

/** Trailers that would change the meaning of the message (RFC 9110, 6.5.1). */
const FORBIDDEN_TRAILERS =
  /^(?:content-length|transfer-encoding|host|content-encoding|authorization|connection)$/i;

type State = 'size' | 'data' | 'data_end' | 'trailer' | 'done';

/**
 * Takes a chunked body apart (RFC 9112, 7.1). Trailers are checked and thrown away; so are
 * extensions. Pure: bytes in, pieces out.
 */
export class ChunkedDecoder {
  private state: State = 'size';
  /** Bytes of the chunk that are still to come. */
  private left = 0;
  /** The beginning of a line that was cut by the network. */
  private line = '';
  private trailer = '';

  get isDone(): boolean {
    return this.state === 'done';
  }

  /**
   * Takes bytes in; gives those of the body to `sink` as they lie in the buffer.
   * @returns how many bytes were taken: fewer than all only when the body is complete
   * @throws HttpFault when this is not a chunked body
   */
  write(bytes: Buffer, sink: (piece: Buffer) => void): number {
    let at = 0;
    while (at < bytes.length && this.state !== 'done') {
      if (this.state === 'data') at = this.data(bytes, at, sink);
      else {
        const next = this.line === '' ? this.plainLine(bytes, at) : at;
        at = next > at ? next : this.lineFrom(bytes, at);
      }
    }
    return at;
  }

  /**
   * Nearly every line: a size without extensions, or the end of a chunk, not cut by the network.
   * Read from its bytes: as text it would cost ten times as much, and chunks may be of one byte.
   * @returns where the line ends; `at` when it is another line, or none
   */
  private plainLine(bytes: Buffer, at: number): number {
    if (this.state === 'size') return this.plainSize(bytes, at);
    if (this.state !== 'data_end' || bytes[at] !== CR || bytes[at + 1] !== LF) return at;
    this.state = 'size';
    return at + 2;
  }

  private plainSize(bytes: Buffer, at: number): number {
    let size = 0;
    let end = at;
    for (; end - at < MAX_SIZE_DIGITS; end += 1) {
      const byte: number = bytes[end] ?? CR;
      const value = HEX_VALUES[byte] ?? -1;
      if (value < 0) break;
      size = size * 16 + value;
    }
    if (end === at || bytes[end] !== CR || bytes[end + 1] !== LF) return at;
    this.begin(size);
    return end + 2;
  }

  private data(bytes: Buffer, at: number, sink: (piece: Buffer) => void): number {
    const end = Math.min(bytes.length, at + this.left);
    this.left -= end - at;
    if (this.left === 0) this.state = 'data_end';
    sink(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end));
    return end;
  }

  private lineFrom(bytes: Buffer, at: number): number {
    const feed = bytes.indexOf(LF, at);
    const end = feed < 0 ? bytes.length : feed + 1;
    const limit = this.state === 'trailer' ? MAX_HEAD_BYTES : MAX_SIZE_LINE_BYTES;
    if (this.line.length + (end - at) > limit)
      throw new HttpFault(400, 'a chunk has too long a line');
    this.line += bytes.toString('latin1', at, end);
    if (feed < 0) return end;
    if (!this.line.endsWith('\r\n')) throw new HttpFault(400, 'a line must end with CR LF');
    const text = this.line.slice(0, -2);
    this.line = '';
    this.take(text);
    return end;
  }

  private take(text: string): void {
    if (this.state === 'size') return this.size(text);
    if (this.state === 'data_end') {
      if (text !== '') throw new HttpFault(400, 'a chunk is longer than it says');
      this.state = 'size';
      return;
    }
    this.trailer += `${text}\r\n`;
    if (this.trailer.length > MAX_HEAD_BYTES) throw new HttpFault(431, 'the trailers are too long');
    if (text !== '') return;
    checkTrailer(this.trailer);
    this.state = 'done';
  }

  private size(text: string): void {
    const digits = SIZE_LINE.exec(text)?.[1];
    if (digits === undefined) throw new HttpFault(400, 'a chunk must begin with its size');
    this.begin(parseInt(digits, 16));
  }

  private begin(size: number): void {
    this.left = size;
    this.state = size === 0 ? 'trailer' : 'data';
  }
}

function checkTrailer(text: string): void {
  checkText(text);
  const fields = fieldsOf(text, 0);
  const forbidden = fields.names.find((name) => FORBIDDEN_TRAILERS.test(name));
  if (forbidden !== undefined) throw new HttpFault(400, `${forbidden} is not allowed as a trailer`);
}

/** One chunk on its way out. */
export const chunkHead = (bytes: number): string => `${bytes.toString(16)}\r\n`;
export const LAST_CHUNK = '0\r\n\r\n';
