import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Exchange, HeaderText, Sent, Source } from '../exchange';
import { BodyTooLarge } from '../../shared/body';
import type { BodyReader } from './body';
import { readerOf } from './body';
import type { Fields } from './fields';
import { Pieces } from './pieces';
import type { RequestHead } from './request';
import { CallerSignal } from './signal';
import { SLICE_BYTES, slicesOf } from './slices';
import type { Outgoing } from './streaming';
import { ONE_WRITE_BYTES, Streaming, writeBoth } from './streaming';

/** Bytes of a body that are kept while nobody has asked for it. */
const MAX_UNREAD_BYTES = 65_536;

// oxlint-disable-next-line no-control-regex
const IS_ASCII = /^[\x00-\x7f]*$/;
const HAS_DATE = /^date:/im;
const HAS_LENGTH = /^content-length:/im;
/** No answer with 204 may have one (RFC 9110, 8.6): who believes it takes the next answer for a body. */
const LENGTHS = /^content-length:[^\r]*\r\n/gim;
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';

/** What an exchange needs of its connection. */
export interface Line {
  readonly socket: Socket;
  readonly remoteAddress: string;
  readonly secure: boolean;
  /** A caller that takes nothing for so long has gone; milliseconds. */
  readonly stallMs: number;
  /** Should this be the last request of the connection? */
  readonly isLast: () => boolean;
  /** More of the body is wanted. */
  readonly read: () => void;
  /** The answer is out. `reusable`: the next request may follow. */
  readonly onAnswered: (reusable: boolean) => void;
}

let dateAt = 0;
let dateText = '';
/** The clock of `Date`, which is told in whole seconds. */
function date(): string {
  const now = Date.now();
  if (now - dateAt >= 1000 || now < dateAt) {
    dateAt = now - (now % 1000);
    dateText = new Date(now).toUTCString();
  }
  return dateText;
}

interface Waiting {
  readonly limit: number;
  readonly resolve: (body: Buffer) => void;
  readonly reject: (error: Error) => void;
}

/** One request on a connection, and its answer. */
export class ServerExchange implements Exchange {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly fields: Fields;
  readonly remoteAddress: string;
  readonly secure: boolean;
  readonly signal = new CallerSignal();

  private readonly reader: BodyReader;
  private readonly pieces = new Pieces();
  private waiting: Waiting | undefined;
  private isAnswering = false;
  /** Only the end of the connection says where the answer ends. */
  private mustEnd = false;
  /** Bytes of the body are thrown away. */
  private isDeaf = false;
  private onGone: (() => void) | undefined;
  private onDrain: (() => void) | undefined;

  constructor(
    private readonly head: RequestHead,
    private readonly line: Line,
  ) {
    const { target } = head;
    const mark = target.indexOf('?');
    this.method = head.method;
    this.path = mark < 0 ? target : target.slice(0, mark);
    this.query = mark < 0 ? '' : target.slice(mark);
    this.fields = head.fields;
    this.remoteAddress = line.remoteAddress;
    this.secure = line.secure;
    this.reader = readerOf(head.framing);
  }

  get hasBegun(): boolean {
    return this.isAnswering;
  }

  /** Is the whole body there? */
  get isRead(): boolean {
    return this.reader.isDone;
  }

  /** May the connection go on to read? */
  get hasRoom(): boolean {
    return this.waiting !== undefined || this.isDeaf || this.pieces.size <= MAX_UNREAD_BYTES;
  }

  /** Takes what the connection brought. @returns how much of it belongs to this request @throws HttpFault */
  take(bytes: Buffer): number {
    const taken = this.reader.write(bytes, (piece) => this.keep(piece));
    if (this.reader.isDone && this.waiting !== undefined) this.deliver();
    return taken;
  }

  private keep(piece: Buffer): void {
    if (this.isDeaf) return;
    this.pieces.add(piece);
    const { waiting } = this;
    if (waiting !== undefined && this.pieces.size > waiting.limit) this.refuse(waiting);
  }

  private refuse({ limit, reject }: Waiting): void {
    this.isDeaf = true;
    this.waiting = undefined;
    this.pieces.clear();
    reject(new BodyTooLarge(limit));
  }

  private deliver(): void {
    const { waiting } = this;
    this.waiting = undefined;
    waiting?.resolve(this.pieces.take());
  }

  body(limit: number): Buffer | Promise<Buffer> {
    const { framing, expects } = this.head;
    const announced = framing.kind === 'length' ? framing.bytes : this.pieces.size;
    if (this.reader.isDone && announced <= limit && !this.signal.aborted) return this.pieces.take();
    return new Promise((resolve, reject) => {
      const waiting = { limit, resolve, reject };
      if (this.signal.aborted) return reject(new Error('the caller is gone'));
      if (announced > limit) return this.refuse(waiting);
      this.waiting = waiting;
      if (expects && this.pieces.size === 0) this.line.socket.write(CONTINUE, 'latin1');
      this.line.read();
    });
  }

  /** A body that was not read would be taken for the next request. */
  private get isReusable(): boolean {
    return this.head.keepAlive && this.reader.isDone && !this.mustEnd && !this.line.isLast();
  }

  private headText(status: number, headers: HeaderText, more: string): string {
    let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n${headers}`;
    if (!HAS_DATE.test(headers)) text += `date: ${date()}\r\n`;
    if (!this.isReusable) text += 'connection: close\r\n';
    else if (this.head.minor === 0) text += 'connection: keep-alive\r\n';
    return `${text}${more}\r\n`;
  }

  answer(status: number, headers: HeaderText, body: Buffer | string): void {
    if (this.signal.aborted || this.isAnswering) return;
    this.isAnswering = true;
    const isText =
      typeof body === 'string' && body.length <= ONE_WRITE_BYTES && IS_ASCII.test(body);
    // As it is, one character is one byte.
    const bytes = typeof body === 'string' && !isText ? Buffer.from(body) : body;
    const isBodiless = status === 204 || status === 304;
    const sized = isBodiless ? headers : `${headers}content-length: ${bytes.length}\r\n`;
    if (typeof bytes !== 'string' && bytes.length > SLICE_BYTES) {
      return new Streaming(this, status, sized, slicesOf(bytes), () => undefined).start();
    }
    const head = this.headText(status, sized, '');
    const { socket } = this.line;
    if (isBodiless || this.method === 'HEAD') socket.write(head, 'latin1');
    else if (typeof bytes === 'string') socket.write(head + bytes, 'latin1');
    else writeBoth(socket, head, bytes);
    this.finish();
  }

  stream(status: number, headers: HeaderText, source: Source, sent: (how: Sent) => void): void {
    if (this.signal.aborted || this.isAnswering) {
      source.destroy();
      return sent('caller_gone');
    }
    this.isAnswering = true;
    new Streaming(this, status, headers, source, sent).start();
  }

  /** For `Streaming`: the parts of an answer. */
  begin(status: number, headers: HeaderText): Outgoing {
    const { socket } = this.line;
    const isBodiless = this.method === 'HEAD' || status === 204 || status === 304;
    const isSized = HAS_LENGTH.test(headers);
    const isChunked = !isSized && !isBodiless && this.head.minor === 1;
    this.mustEnd = !isSized && !isBodiless && !isChunked;
    const own = status === 204 ? headers.replace(LENGTHS, '') : headers;
    const head = this.headText(status, own, isChunked ? 'transfer-encoding: chunked\r\n' : '');
    return { socket, head, isBodiless, isChunked, stallMs: this.line.stallMs };
  }

  /** For `Streaming`. */
  watch(onGone: () => void, onDrain: () => void): void {
    this.onGone = onGone;
    this.onDrain = onDrain;
  }

  /** The last byte is with the socket. */
  finish(): void {
    this.onGone = undefined;
    this.onDrain = undefined;
    this.line.onAnswered(this.isReusable);
  }

  /** The source broke: the caller must not take what it has for the whole. */
  cut(): void {
    this.onGone = undefined;
    this.line.socket.destroy();
  }

  drained(): void {
    this.onDrain?.();
  }

  /** The caller went away, or sent what is no HTTP. */
  abandon(): void {
    if (this.signal.aborted) return;
    this.signal.abort();
    this.waiting?.reject(new Error('the caller broke off'));
    this.waiting = undefined;
    this.onGone?.();
  }
}
