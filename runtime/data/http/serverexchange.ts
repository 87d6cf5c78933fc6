import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Account, Body, Exchange, HeaderText, Sent, Source, Upload } from '../exchange';
import { BodyTooLarge } from '../../shared/body';
import type { BodyReader } from './body';
import { readerOf } from './body';
import type { Fields, HttpFault } from './fields';
import { hasLine } from './fields';
import { Pieces } from './pieces';
import type { RequestHead } from './request';
import { CallerSignal } from './signal';
import { SLICE_BYTES, slicesOf } from './slices';
import type { Outgoing } from './streaming';
import { ONE_WRITE_BYTES, Streaming, writeBoth } from './streaming';
import type { Uploader } from './upload';
import { CallerUpload } from './upload';

/** Bytes of a body that are kept while nobody has asked for it. */
const MAX_UNREAD_BYTES = 65_536;

// oxlint-disable-next-line no-control-regex
const IS_ASCII = /^[\x00-\x7f]*$/;
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
  /** Between two pieces of a body; milliseconds. */
  readonly bodyMs: number;
  /** Should this be the last request of the connection? */
  readonly isLast: () => boolean;
  /** More of the body is wanted, in time, or as the exchange says itself. */
  readonly read: (isTimed: boolean) => void;
  /** Nothing of the body is waited for. */
  readonly rest: () => void;
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
  /** What is beyond the limit need not be refused, but comes later. */
  readonly later?: { readonly limit: number; readonly resolve: (upload: Upload) => void };
}

/** One request on a connection, and its answer. */
export class ServerExchange implements Exchange, Uploader {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly fields: Fields;
  readonly remoteAddress: string;
  readonly secure: boolean;
  readonly signal = new CallerSignal();
  account: Account | undefined;

  private readonly reader: BodyReader;
  private readonly pieces = new Pieces();
  private waiting: Waiting | undefined;
  private passed: CallerUpload | undefined;
  private isAnswering = false;
  /** Only the end of the connection says where the answer ends. */
  private mustEnd = false;
  /** Bytes of the body are thrown away. */
  private isDeaf = false;
  /** What comes is no body. */
  private isSpoiled = false;
  private streaming: Streaming | undefined;

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
    if (this.passed !== undefined) return this.passed.wantsMore;
    return this.waiting !== undefined || this.isDeaf || this.pieces.size <= MAX_UNREAD_BYTES;
  }

  get bodyMs(): number {
    return this.line.bodyMs;
  }

  /** Takes what the connection brought. @returns how much of it belongs to this request @throws HttpFault */
  take(bytes: Buffer): number {
    if (this.isSpoiled) return bytes.length;
    const taken = this.reader.write(bytes, (piece) => this.keep(piece));
    const { waiting, passed } = this;
    if (passed !== undefined) passed.take(this.pieces.take(), this.reader.isDone);
    else if (waiting === undefined) return taken;
    else if (this.pieces.size > waiting.limit) this.exceed(waiting);
    else if (this.reader.isDone) this.over(waiting).resolve(this.pieces.take());
    return taken;
  }

  private keep(piece: Buffer): void {
    if (this.isDeaf) return;
    this.pieces.add(piece);
  }

  private exceed(waiting: Waiting): void {
    const { later } = waiting;
    if (later === undefined) return this.refuse(waiting);
    this.over(waiting);
    later.resolve(this.begun(undefined, later.limit));
  }

  private refuse(waiting: Waiting): void {
    this.isDeaf = true;
    this.pieces.clear();
    this.over(waiting).reject(new BodyTooLarge(waiting.limit));
  }

  /** From here on it is not the caller who is waited for. */
  private over(waiting: Waiting): Waiting {
    this.waiting = undefined;
    this.line.rest();
    return waiting;
  }

  /** What goes on as it comes, after what has come. */
  private begun(length: number | undefined, limit: number): CallerUpload {
    const upload = new CallerUpload(length, limit, this);
    this.passed = upload;
    const before = this.pieces.take();
    if (before.length > 0) upload.take(before, this.reader.isDone);
    return upload;
  }

  body(limit: number): Buffer | Promise<Buffer> {
    const { framing } = this.head;
    const announced = framing.kind === 'length' ? framing.bytes : this.pieces.size;
    if (this.reader.isDone && announced <= limit && !this.signal.aborted) return this.pieces.take();
    return new Promise((resolve, reject) => {
      const waiting = { limit, resolve, reject };
      if (this.signal.aborted) return reject(new Error('the caller is gone'));
      if (announced > limit) return this.refuse(waiting);
      this.wait(waiting);
    });
  }

  upload(whole: number, limit: number): Body | Promise<Body> {
    const { framing } = this.head;
    // Nearly always: it is there.
    if (this.reader.isDone || limit <= whole || this.signal.aborted) return this.body(limit);
    if (framing.kind === 'length') {
      const { bytes } = framing;
      return bytes <= whole || bytes > limit ? this.body(limit) : this.begun(bytes, limit);
    }
    if (this.pieces.size > whole) return this.begun(undefined, limit);
    return new Promise((resolve, reject) =>
      this.wait({ limit: whole, resolve, reject, later: { limit, resolve } }),
    );
  }

  private wait(waiting: Waiting): void {
    this.waiting = waiting;
    this.invite();
    this.line.read(true);
  }

  private invite(): void {
    if (this.head.expects && this.pieces.size === 0) this.line.socket.write(CONTINUE, 'latin1');
  }

  /** Uploader: more is wanted. */
  read(): void {
    if (!this.isAnswering) this.invite();
    this.line.read(false);
  }

  /** Uploader: the rest is not. */
  stop(): void {
    this.isDeaf = true;
    // Of an answer that has begun the end is missing, and that is how the caller sees it.
    if (this.passed?.fault !== undefined && this.isAnswering) this.line.socket.destroy();
  }

  /** What comes is no body. @returns whether it is told as the answer */
  spoil(fault: HttpFault): boolean {
    if (this.passed === undefined) return false;
    this.isSpoiled = true;
    this.passed.fail(fault.status, fault);
    return true;
  }

  /** A body that was not read would be taken for the next request. */
  private get isReusable(): boolean {
    return this.head.keepAlive && this.reader.isDone && !this.mustEnd && !this.line.isLast();
  }

  private headText(status: number, headers: HeaderText, more: string): string {
    let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n${headers}`;
    if (!hasLine(headers, 'date')) text += `date: ${date()}\r\n`;
    if (!this.isReusable) {
      // Said is said, even if the rest of the request comes meanwhile.
      this.mustEnd = true;
      text += 'connection: close\r\n';
    } else if (this.head.minor === 0) text += 'connection: keep-alive\r\n';
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
      return new Streaming(this, status, sized, slicesOf(bytes)).start();
    }
    this.account?.over(status);
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
    const isSized = hasLine(headers, 'content-length');
    const isChunked = !isSized && !isBodiless && this.head.minor === 1;
    this.mustEnd = !isSized && !isBodiless && !isChunked;
    const own = status === 204 ? headers.replace(LENGTHS, '') : headers;
    const head = this.headText(status, own, isChunked ? 'transfer-encoding: chunked\r\n' : '');
    return { socket, head, isBodiless, isChunked, stallMs: this.line.stallMs };
  }

  /** For `Streaming`. */
  watch(streaming: Streaming): void {
    this.streaming = streaming;
  }

  /** The last byte is with the socket. */
  finish(): void {
    this.streaming = undefined;
    this.line.onAnswered(this.isReusable);
  }

  /** The source broke: the caller must not take what it has for the whole. */
  cut(): void {
    this.streaming = undefined;
    this.line.socket.destroy();
  }

  drained(): void {
    this.streaming?.drained();
  }

  /** The caller went away, or sent what is no HTTP. */
  abandon(): void {
    if (this.signal.aborted) return;
    this.account?.over();
    this.signal.abort();
    this.waiting?.reject(new Error('the caller broke off'));
    this.waiting = undefined;
    this.passed?.destroy();
    this.streaming?.gone();
  }
}
