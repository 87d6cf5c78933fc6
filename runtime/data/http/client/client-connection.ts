import type { ResponseHandler, ExchangeFailure, BodySink, BodySource, Upload } from '../exchange';
import type { ClientRequest } from './request-writer';
import { writeRequest } from './request-writer';
import type { ClientSocket } from './client-socket';
import type { BodyReader } from '../buffers/body-reader';
import { bodyReaderOf } from '../buffers/body-reader';
import { ReadBudget } from '../buffers/read-budget';
import { HttpFault } from '../fields';
import { HeadReader } from '../buffers/head-reader';
import { coalesced } from '../buffers/body-buffer';
import type { ResponseHead } from './response-head';
import {
  checkVersionStart,
  checkStatusAccepted,
  keepAliveMsOf,
  parseResponse,
} from './response-head';
import type { RequestBodyListener } from './request-body-writer';
import { RequestBodyWriter } from './request-body-writer';

/** Unread bytes of a response that are kept before the socket is paused. */
const MAX_UNREAD_BYTES = 65_536;
/** A reset within this time after reuse means that the server had closed the idle connection; ms. */
const STALE_MS = 100;
/** A server may send interim responses (102) while it works; more than this are an error. */
const MAX_INTERIM_ANSWERS = 1000;

/** The pool that owns a connection. */
export interface ConnectionOwner {
  /** The answer is complete and the connection can take another request. */
  readonly onFree: (connection: ClientConnection) => void;
  readonly onGone: (connection: ClientConnection) => void;
  /**
   * The server had closed the connection before it took the request, which needs another one. Not
   * called for the first request of a connection. `isSent`: the kernel had taken the request.
   */
  readonly onStale: (request: ClientRequest, handler: ResponseHandler, isSent: boolean) => void;
}

/** One connection to a server: requests one after the other. */
export class ClientConnection implements BodySource, RequestBodyListener {
  private request: ClientRequest | undefined;
  /** Until the response or the failure is reported. */
  private handler: ResponseHandler | undefined;
  private readonly heads = new HeadReader();
  private reader: BodyReader | undefined;
  private keepAlive = false;
  private sink: BodySink | undefined;
  /** Body bytes of the read that completed the head, during `onResponse`. */
  private arrived: Buffer | undefined;
  private unread: Buffer[] = [];
  private unreadBytes = 0;
  private isConnected = false;
  private timer: NodeJS.Timeout | undefined;
  private bodyWriter: RequestBodyWriter | undefined;
  /** The reader of the response is slow. */
  private isPausedByReader = false;
  private readonly budget: ReadBudget;
  /** The server ended the connection before the body was read. */
  private isEnded = false;

  /** Has a byte of the response arrived? */
  private hasResponded = false;
  /** Interim responses (1xx) so far. */
  private interim = 0;
  /** The kernel did not take a byte of the request. */
  private isUnsent = false;
  /** When the request was sent on a reused connection; undefined on a new one. */
  private reusedAt: number | undefined;

  /** When its last response was complete; `performance.now()`. */
  idleSince = 0;
  /** The server's own keep-alive timeout less a margin; milliseconds. */
  serverKeepAliveMs = Infinity;

  constructor(
    private readonly socket: ClientSocket,
    private readonly owner: ConnectionOwner,
    connectMs: number,
  ) {
    socket.setNoDelay(true);
    this.budget = new ReadBudget(socket, () => !this.isPausedByReader);
    const late = setTimeout(
      () => this.break({ kind: 'unreached', message: 'connect timeout' }),
      connectMs,
    );
    socket.on('connect', () => {
      this.isConnected = true;
      clearTimeout(late);
      this.bodyWriter?.begin();
    });
    socket.on('drain', () => this.bodyWriter?.drained());
    socket.on('end', () => this.onEnd());
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const message = error.code ?? error.message;
      this.break(this.isConnected ? { kind: 'reset', message } : { kind: 'unreached', message });
    });
    socket.on('close', () => {
      clearTimeout(late);
      this.onEnd();
      this.owner.onGone(this);
    });
  }

  send(request: ClientRequest, handler: ResponseHandler): void {
    this.request = request;
    this.handler = handler;
    this.hasResponded = false;
    this.interim = 0;
    if (this.idleSince > 0) this.reusedAt = performance.now();
    request.signal.addEventListener('abort', this.onAbort);
    this.timer = setTimeout(this.onTimeout, request.timeoutMs);
    writeRequest(this.socket, request);
    // An error at once means that nothing was sent; a later one may concern the end of the request.
    this.isUnsent = this.socket.errored !== null;
    if (request.upload !== undefined) this.begin(request.upload);
  }

  private begin(upload: Upload): void {
    this.bodyWriter = new RequestBodyWriter(this.socket, upload, this);
    if (this.isConnected && !this.isUnsent) this.bodyWriter.begin();
  }

  /** RequestBodyListener: the response timer rests while the caller's body is awaited. */
  onTurn(): void {
    if (this.bodyWriter?.waitsForCaller === true) this.stopTimer();
    else this.startTimer();
  }

  onDelivered(): void {
    this.handler?.onRequestSent?.();
  }

  onFailed(why: ExchangeFailure): void {
    this.break(why);
  }

  private stopTimer(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private startTimer(): void {
    const { request } = this;
    const waitsForCaller = this.bodyWriter?.waitsForCaller === true;
    if (request === undefined || this.isPausedByReader || waitsForCaller) return;
    this.timer ??= setTimeout(this.onTimeout, request.timeoutMs);
  }

  /** The request to send again when the server closed the connection before it arrived. */
  private retryable(why: ExchangeFailure): ClientRequest | undefined {
    const { request, reusedAt } = this;
    if (why.kind !== 'reset' || request === undefined || reusedAt === undefined) return undefined;
    const elapsed = performance.now() - reusedAt;
    const isSafe = this.isUnsent || (request.repeatable && elapsed < STALE_MS);
    if (this.hasResponded || !isSafe) return undefined;
    return { ...request, timeoutMs: Math.max(1, request.timeoutMs - elapsed) };
  }

  private readonly onAbort = (): void => this.break({ kind: 'aborted' });
  private readonly onTimeout = (): void => this.break({ kind: 'timeout' });

  /** The bytes are valid during this call only. */
  onData(bytes: Buffer): void {
    // Unrequested bytes are not the response to the next request.
    if (this.request === undefined) return void this.socket.destroy();
    this.hasResponded = true;
    try {
      if (this.reader === undefined) return this.takeHead(bytes);
      this.timer?.refresh();
      this.takeBody(bytes);
    } catch (error) {
      if (!(error instanceof HttpFault)) throw error;
      this.break({ kind: 'protocol', message: error.message });
    }
  }

  private takeHead(bytes: Buffer): void {
    const { request } = this;
    if (request === undefined) return;
    for (let rest = bytes; rest.length > 0;) {
      const found = this.heads.take(rest);
      if (found === undefined) return checkVersionStart(this.heads.text);
      const head = parseResponse(found.head, request.method);
      rest = rest.subarray(found.end);
      checkStatusAccepted(head.status, request.takesRedirects === true);
      if (head.status >= 200) return this.deliverHead(head, rest);
      this.interim += 1;
      if (this.interim > MAX_INTERIM_ANSWERS) {
        throw new HttpFault(502, `more than ${MAX_INTERIM_ANSWERS} interim answers (1xx)`);
      }
    }
  }

  private deliverHead({ status, fields, framing, keepAlive }: ResponseHead, rest: Buffer): void {
    const reader = bodyReaderOf(framing);
    this.reader = reader;
    this.keepAlive = keepAlive;
    if (this.idleSince === 0) this.serverKeepAliveMs = keepAliveMsOf(fields);
    const { handler } = this;
    this.handler = undefined;
    // Set before `onResponse`: a handler that reads at once gets the bytes without a copy.
    this.arrived = rest;
    handler?.onResponse({ kind: 'answered', status, fields, body: this });
    const left = this.arrived;
    this.arrived = undefined;
    // The handler may have destroyed or finished the body.
    if (this.reader !== reader) return;
    // Not for a partial head: a dripping one would never time out.
    this.timer?.refresh();
    if (left !== undefined) this.keep(Buffer.from(left));
  }

  private takeBody(bytes: Buffer): void {
    if (this.sink === undefined) return this.keep(Buffer.from(bytes));
    this.deliverBody(this.sink, bytes);
  }

  private keep(bytes: Buffer): void {
    if (bytes.length > 0) this.unread.push(bytes);
    this.unreadBytes += bytes.length;
    if (this.unreadBytes > MAX_UNREAD_BYTES) this.socket.pause();
  }

  private deliverBody(sink: BodySink, bytes: Buffer): void {
    const { reader } = this;
    if (reader === undefined) return;
    // Decode the whole read first: an invalid first chunk is an error, not a started response.
    let first: Buffer | undefined;
    let others: Buffer[] | undefined;
    const taken = reader.write(bytes, (piece) => {
      if (first === undefined) first = piece;
      else if (others === undefined) others = [piece];
      else others.push(piece);
    });
    let wantsMore = first === undefined || sink.data(first);
    for (const piece of others === undefined ? [] : coalesced(others)) {
      if (this.reader !== reader) return;
      wantsMore = sink.data(piece) && wantsMore;
    }
    // The sink may have destroyed the body meanwhile.
    if (this.reader !== reader) return;
    if (reader.isDone) return this.complete(taken === bytes.length);
    if (others !== undefined) this.budget.spendChunks(others.length);
    this.budget.spendRead(bytes.length);
    if (!wantsMore) this.pause();
  }

  /** BodySource: starts delivery. */
  flow(sink: BodySink): void {
    this.sink = sink;
    const before = this.arrived === undefined ? this.unread : [this.arrived];
    this.arrived = undefined;
    this.dropUnread();
    try {
      // An empty body, too, completes only in `deliverBody`.
      for (const bytes of before.length > 0 ? before : [Buffer.alloc(0)]) {
        if (this.sink === sink) this.deliverBody(sink, bytes);
      }
    } catch (error) {
      if (!(error instanceof HttpFault)) throw error;
      this.break({ kind: 'protocol', message: error.message });
    }
    if (this.sink !== sink) return;
    if (this.isEnded) this.onEnd();
    else if (this.socket.isPaused() && !this.isPausedByReader) this.budget.resume();
  }

  /** A slow reader does not count against the server's timeout. */
  private pause(): void {
    this.isPausedByReader = true;
    this.stopTimer();
    this.socket.pause();
  }

  /** BodySource: continues after `data` returned false. */
  resume(): void {
    if (this.request === undefined) return;
    this.isPausedByReader = false;
    this.startTimer();
    this.budget.resume();
  }

  /** BodySource: the rest is discarded. */
  destroy(): void {
    this.break({ kind: 'aborted' });
  }

  private onEnd(): void {
    const { reader, sink } = this;
    if (reader !== undefined && sink === undefined) this.isEnded = true;
    else if (reader?.mayEnd === true) this.complete(false);
    else this.break({ kind: 'reset', message: 'the connection ended' });
  }

  private dropUnread(): void {
    if (this.unread.length > 0) this.unread = [];
    this.unreadBytes = 0;
  }

  private release(): void {
    this.stopTimer();
    const { bodyWriter } = this;
    this.bodyWriter = undefined;
    this.isPausedByReader = false;
    this.budget.renew();
    this.request?.signal.removeEventListener('abort', this.onAbort);
    this.request = undefined;
    this.reader = undefined;
    this.sink = undefined;
    this.handler = undefined;
    this.arrived = undefined;
    this.dropUnread();
    bodyWriter?.stop();
  }

  /** Extra bytes, or an unfinished request, end the connection. */
  private complete(isClean: boolean): void {
    const { sink } = this;
    const isSent = this.bodyWriter?.isDone !== false && this.socket.writableLength === 0;
    const isFree = isClean && this.keepAlive && isSent;
    this.release();
    if (isFree) {
      this.socket.resume();
      this.idleSince = performance.now();
      this.owner.onFree(this);
    } else this.socket.destroy();
    sink?.end();
  }

  private break(why: ExchangeFailure): void {
    const { handler, sink } = this;
    const unheard = this.retryable(why);
    this.release();
    this.socket.destroy();
    if (unheard !== undefined && handler !== undefined) {
      return this.owner.onStale(unheard, handler, !this.isUnsent);
    }
    const isKept = why.kind === 'reset' && !this.hasResponded && this.reusedAt !== undefined;
    handler?.onFailure(isKept ? { ...why, wasKept: true } : why);
    sink?.fail(why);
  }

  close(): void {
    this.socket.destroy();
  }
}
