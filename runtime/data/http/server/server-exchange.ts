import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type {
  RequestObserver,
  RequestPayload,
  ExchangeFailure,
  Exchange,
  HeaderText,
  DeliveryOutcome,
  BodySource,
} from '../exchange';
import type { Holding } from '../../../shared/held-bytes';
import type { ReadBudget } from '../buffers/read-budget';
import { date } from '../date';
import type { Fields, HttpFault } from '../fields';
import { hasLine } from '../fields';
import type { RequestHead } from './request-head';
import type { BodyOwner } from './request-body';
import { RequestBody } from './request-body';
import { CallerSignal } from './caller-signal';
import { SLICE_BYTES, bufferSource } from '../buffers/buffer-source';
import type { StartedResponse } from './response-writer';
import { ONE_WRITE_BYTES, ResponseWriter, writeBoth } from './response-writer';

// oxlint-disable-next-line no-control-regex
const IS_ASCII = /^[\x00-\x7f]*$/;
/** A 204 must not have one (RFC 9110, 8.6): a client could take the next response for its body. */
const CONTENT_LENGTH_LINES = /^content-length:[^\r]*\r\n/gim;
/** The start of every response. */
const STATUS_LINE_START = 'HTTP/1.1 ';
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';

/** The connection of an exchange. */
export interface ExchangeConnection {
  readonly socket: Socket;
  readonly remoteAddress: string;
  readonly secure: boolean;
  /** That the caller showed, and an authority of the port signed. */
  readonly certificate?: Exchange['certificate'];
  /** A caller that takes nothing for so long has gone; milliseconds. */
  readonly stallMs: number;
  /** Between two pieces of a body, and for each 64 KiB of it; milliseconds. */
  readonly bodyMs: number;
  /** Memory for a request that begins. */
  readonly hold: () => Holding;
  /** Should this be the last request of the connection? */
  readonly isLast: () => boolean;
  /** More of the body is wanted, in time, or as the exchange says itself. */
  readonly read: (isTimed: boolean) => void;
  /** For the chunks of bodies. */
  readonly budget: ReadBudget;
  /** Of a body that is waited for too little has come: it ends here. */
  readonly onTooSlow: () => void;
  /** Nothing of the body is waited for. */
  readonly stopTimer: () => void;
  /** The answer is out. `reusable`: the next request may follow. */
  readonly onAnswered: (reusable: boolean) => void;
}

type OnDelivered = (how: DeliveryOutcome, why?: ExchangeFailure) => void;

/** One request on a connection, and its answer. */
export class ServerExchange implements Exchange, BodyOwner {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly fields: Fields;
  readonly remoteAddress: string;
  readonly secure: boolean;
  readonly signal = new CallerSignal();
  readonly held: Holding;
  identity: Exchange['identity'];
  account: RequestObserver | undefined;

  private readonly incoming: RequestBody;
  private isAnswering = false;
  /** Only the end of the connection ends the response. */
  private mustEnd = false;
  private writer: ResponseWriter | undefined;
  /** Characters of `BEGIN` that are out. */
  sentCharacters = 0;

  constructor(
    private readonly head: RequestHead,
    private readonly connection: ExchangeConnection,
  ) {
    const { target } = head;
    const mark = target.indexOf('?');
    this.method = head.method;
    this.path = mark < 0 ? target : target.slice(0, mark);
    this.query = mark < 0 ? '' : target.slice(mark);
    this.fields = head.fields;
    this.remoteAddress = connection.remoteAddress;
    this.secure = connection.secure;
    this.held = connection.hold();
    this.incoming = new RequestBody(head, this);
  }

  get certificate(): Exchange['certificate'] {
    return this.connection.certificate;
  }

  get hasBegun(): boolean {
    return this.isAnswering;
  }

  /** Is the whole body there? */
  get isRead(): boolean {
    return this.incoming.isRead;
  }

  /** May the connection go on to read? */
  get hasRoom(): boolean {
    return this.incoming.hasRoom;
  }

  get bodyMs(): number {
    return this.connection.bodyMs;
  }

  /** Takes input. @returns how many bytes belong to this request @throws HttpFault */
  take(bytes: Buffer): number {
    return this.incoming.take(bytes);
  }

  body(limit: number): Buffer | Promise<Buffer> {
    return this.incoming.whole(limit);
  }

  upload(whole: number, limit: number): RequestPayload | Promise<RequestPayload> {
    return this.incoming.upload(whole, limit);
  }

  isGone(): boolean {
    return this.signal.aborted;
  }

  /** BodyOwner: the caller may wait for that before it sends its body. */
  sendContinue(): void {
    if (this.isAnswering || !this.head.expects || this.incoming.isBegun) return;
    this.connection.socket.write(CONTINUE, 'latin1');
  }

  /** BodyOwner: more is wanted. */
  read(isTimed: boolean): void {
    this.connection.read(isTimed);
  }

  /** BodyOwner: chunks count against the connection's budget. */
  onChunks(count: number): void {
    this.connection.budget.spendChunks(count);
  }

  /** BodyOwner: the caller sends too slowly. */
  onTooSlow(): void {
    this.connection.onTooSlow();
  }

  /** BodyOwner: the caller's bytes are not awaited. */
  stopTimer(): void {
    this.connection.stopTimer();
  }

  /** BodyOwner: of an answer that has begun the end is missing, and that is how the caller sees it. */
  onStopped(isFault: boolean): void {
    if (isFault && this.isAnswering) this.connection.socket.destroy();
  }

  /** The body is malformed. @returns whether the handler reports the fault in its response */
  spoil(fault: HttpFault): boolean {
    return this.incoming.spoil(fault);
  }

  /** A body that was not read would be taken for the next request. */
  private get isReusable(): boolean {
    return this.head.keepAlive && this.isRead && !this.mustEnd && !this.connection.isLast();
  }

  private headText(status: number, headers: HeaderText, more: string): string {
    let text = `${STATUS_LINE_START}${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n${headers}`;
    if (!hasLine(headers, 'date')) text += `date: ${date()}\r\n`;
    if (!this.isReusable) {
      // Once `Connection: close` is sent, close.
      this.mustEnd = true;
      text += 'connection: close\r\n';
    } else if (this.head.minor === 0) text += 'connection: keep-alive\r\n';
    text += `${more}\r\n`;
    return this.sentCharacters === 0 ? text : text.slice(this.sentCharacters);
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
      return new ResponseWriter(this, status, sized, bufferSource(bytes)).start();
    }
    this.account?.onFinished(status);
    const head = this.headText(status, sized, '');
    const { socket } = this.connection;
    if (isBodiless || this.method === 'HEAD') socket.write(head, 'latin1');
    else if (typeof bytes === 'string') socket.write(head + bytes, 'latin1');
    else writeBoth(socket, head, bytes);
    this.finish();
  }

  stream(status: number, headers: HeaderText, source: BodySource, sent: OnDelivered): void {
    if (this.signal.aborted || this.isAnswering) {
      source.destroy();
      return sent('caller_gone');
    }
    this.isAnswering = true;
    new ResponseWriter(this, status, headers, source, sent).start();
  }

  /** For `Streaming`: the parts of an answer. */
  begin(status: number, headers: HeaderText): StartedResponse {
    const { socket } = this.connection;
    const isBodiless = this.method === 'HEAD' || status === 204 || status === 304;
    const isSized = hasLine(headers, 'content-length');
    const isChunked = !isSized && !isBodiless && this.head.minor === 1;
    this.mustEnd = !isSized && !isBodiless && !isChunked;
    const own = status === 204 ? headers.replace(CONTENT_LENGTH_LINES, '') : headers;
    const head = this.headText(status, own, isChunked ? 'transfer-encoding: chunked\r\n' : '');
    return { socket, head, isBodiless, isChunked, stallMs: this.connection.stallMs };
  }

  /** For `Streaming`. */
  watch(writer: ResponseWriter): void {
    this.writer = writer;
  }

  /** The last byte is with the socket. */
  finish(): void {
    this.writer = undefined;
    this.held.release();
    this.connection.onAnswered(this.isReusable);
  }

  /** The source failed: cut the connection, so that the response is not taken for complete. */
  cut(): void {
    this.writer = undefined;
    this.held.release();
    this.connection.socket.destroy();
  }

  /** Nothing of the answer is out; another one follows. */
  withdraw(): void {
    this.writer = undefined;
    this.isAnswering = false;
    this.mustEnd = false;
  }

  /**
   * Sends a byte of the answer ahead. A caller that has ended its side may wait for its answer, or
   * be gone; of one that is gone the kernel tells when something is sent to it.
   */
  probe(): void {
    const { socket } = this.connection;
    if (socket.writableLength > 0) return;
    const { writer } = this;
    const isSilent =
      writer === undefined ? !this.isAnswering : this.sentCharacters < STATUS_LINE_START.length;
    if (!isSilent || writer?.shortenHead() === false) return writer?.pad();
    if (this.sentCharacters >= STATUS_LINE_START.length) return;
    socket.write(STATUS_LINE_START.charAt(this.sentCharacters), 'latin1');
    this.sentCharacters += 1;
  }

  drained(): void {
    this.writer?.drained();
  }

  /** The caller left or sent malformed HTTP. */
  abandon(): void {
    if (this.signal.aborted) return;
    this.account?.onFinished();
    this.signal.abort();
    this.held.release();
    this.incoming.abandon();
    this.writer?.gone();
  }
}
