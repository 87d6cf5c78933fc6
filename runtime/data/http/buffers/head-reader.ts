import { HttpFault, MAX_HEAD_BYTES } from '../fields';

const END = '\r\n\r\n';
const END_BYTES = Buffer.from(END);

/**
 * A head whose lines end with LF alone would be waited for until its time is over.
 * @param from start of the part that was not checked before @throws HttpFault
 */
function checkLineFeeds(text: string, from: number): void {
  for (let at = text.indexOf('\n', from); at >= 0; at = text.indexOf('\n', at + 1)) {
    if (text[at - 1] !== '\r') throw new HttpFault(400, 'a line must end with CR LF');
  }
}

/**
 * Collects the head of a message. Most heads arrive whole in one read; only partial ones are kept.
 */
export class HeadReader {
  private begun = '';

  constructor(private readonly maxBytes = MAX_HEAD_BYTES) {}

  /** Has a part of a head come? */
  get isBegun(): boolean {
    return this.begun !== '';
  }

  /** The partial head; the beginning of one that is too long. */
  get text(): string {
    return this.begun;
  }

  /**
   * @returns the head and where in `bytes` it ends; undefined when more has to come
   * @throws HttpFault 431 when it is too long, also when it comes whole
   */
  take(bytes: Buffer): { readonly head: string; readonly end: number } | undefined {
    const { begun, maxBytes } = this;
    // The usual case. Only the head is decoded, not the bytes behind it.
    const whole = begun === '' ? bytes.indexOf(END_BYTES) + END.length : 0;
    if (whole >= END.length && whole <= maxBytes) {
      return { head: bytes.toString('latin1', 0, whole), end: whole };
    }
    const room = maxBytes - begun.length;
    const text = begun + bytes.toString('latin1', 0, Math.min(bytes.length, room + 1));
    const at = text.indexOf(END, Math.max(0, begun.length - END.length));
    const tooLong = at < 0 ? text.length > maxBytes : at + END.length > maxBytes;
    this.begun = text;
    if (at < 0) checkLineFeeds(text, begun.length);
    if (tooLong) throw new HttpFault(431, `the head has more than ${maxBytes} bytes`);
    if (at < 0) return undefined;
    this.begun = '';
    const end = at + END.length;
    return { head: text.slice(0, end), end: end - begun.length };
  }
}
