import type { Socket } from 'node:net';
import type {
  RequestObserver,
  ExchangeFailure,
  HeaderText,
  DeliveryOutcome,
  BodySink,
  BodySource,
} from '../exchange';
import { chunkHead, LAST_CHUNK } from '../buffers/chunked';
import type { PooledCopy } from '../buffers/buffer-pool';
import { copyToPool } from '../buffers/buffer-pool';

/** Head and body below this go out as one string: one system call, and no copy of the body. */
export const ONE_WRITE_BYTES = 16_384;

/** The exchange that owns a response. */
export interface ResponseOwner {
  readonly account?: RequestObserver | undefined;
  readonly begin: (status: number, headers: HeaderText) => StartedResponse;
  /** Tells it when the caller goes away, and when it takes more. */
  readonly watch: (writer: ResponseWriter) => void;
  /** The last byte is with the socket. */
  readonly finish: () => void;
  /** Cuts the connection, so that the response is not taken for complete. */
  readonly cut: () => void;
  /** Nothing is out: it can be answered otherwise. */
  readonly withdraw: () => void;
}

/** Of an answer that breaks off, in the accounts: the caller does not get the one that began. */
const STATUS_BROKEN = 502;
/** An answer that is of no use before all of it is there: its head can wait for its first byte. */
const IS_WHOLE =
  /^(?:content-type:[ \t]*application\/(?:[\w.-]+\+)?json|inference-header-content-length:)/im;
/** So many zeros stand before the size of a chunk, while nothing comes. */
const MAX_ZEROS = 4;

/** How an answer goes out. */
export interface StartedResponse {
  readonly socket: Socket;
  readonly head: string;
  readonly isBodiless: boolean;
  readonly isChunked: boolean;
  /** A caller that takes nothing for so long has gone; milliseconds. */
  readonly stallMs: number;
}

/** An answer that is passed on as it comes. */
export class ResponseWriter implements BodySink {
  private readonly out: StartedResponse;
  /** Waits for the first piece, to go out with it. */
  private head: string | undefined;
  /** Before the size of the next chunk. */
  private zeros = 0;
  private stall: NodeJS.Timeout | undefined;
  private isEnding = false;
  private isOver = false;

  constructor(
    private readonly exchange: ResponseOwner,
    private readonly status: number,
    private readonly headers: HeaderText,
    private readonly source: BodySource,
    private readonly onDelivered?: (sent: DeliveryOutcome, why?: ExchangeFailure) => void,
  ) {
    this.out = exchange.begin(status, headers);
    this.head = this.out.head;
  }

  start(): void {
    this.exchange.watch(this);
    this.source.flow(this);
    // An event stream must not wait for its first event. JSON that breaks before its first byte is
    // not passed on: the caller gets an error with words.
    if (this.head !== undefined && !IS_WHOLE.test(this.headers)) this.flushHead();
  }

  /** Is the head still to come? Then all of it but its first character is. */
  shortenHead(): boolean {
    this.head = this.head?.slice(1);
    return this.head !== undefined;
  }

  /** Probes the caller with a leading zero of the next chunk size, which changes nothing. */
  pad(): void {
    const isBetween = this.head === undefined && !this.isOver && !this.isEnding;
    if (!this.out.isChunked || !isBetween || this.zeros >= MAX_ZEROS) return;
    this.zeros += 1;
    this.out.socket.write('0', 'latin1');
  }

  private flushHead(): void {
    const { head } = this;
    this.head = undefined;
    if (head !== undefined) this.out.socket.write(head, 'latin1');
  }

  /** BodySink. */
  data(piece: Buffer): boolean {
    const { socket, isBodiless, isChunked } = this.out;
    if (isBodiless) return true;
    const head = this.head ?? '';
    this.head = undefined;
    this.zeros = 0;
    // The socket may keep it for longer than this call.
    const { bytes, done } = piece.length > ONE_WRITE_BYTES ? copyToPool(piece) : uncopied(piece);
    if (isChunked) writeChunk(socket, head, bytes, done);
    else writeBoth(socket, head, bytes, done);
    if (!socket.writableNeedDrain) return true;
    this.watchStall();
    return false;
  }

  private watchStall(): void {
    const { socket, stallMs } = this.out;
    this.stall ??= setTimeout(() => socket.destroy(), stallMs);
  }

  /** The socket's buffer is empty again. */
  drained(): void {
    clearTimeout(this.stall);
    this.stall = undefined;
    if (this.isEnding) this.conclude('complete');
    else this.source.resume();
  }

  /** The caller has gone. */
  gone(): void {
    this.conclude('caller_gone');
  }

  /** BodySink. When the caller leaves, or its upload is invalid, the source may report it first. */
  fail(why: ExchangeFailure): void {
    if (why.kind === 'aborted' || why.kind === 'rejected') return this.conclude('caller_gone');
    this.conclude(this.head === undefined ? 'source_broke' : 'unsent', why);
  }

  /** BodySink. */
  end(): void {
    const { socket, isChunked } = this.out;
    const last = isChunked ? LAST_CHUNK : '';
    const head = this.head ?? '';
    this.head = undefined;
    if (head !== '' || last !== '') socket.write(head + last, 'latin1');
    this.isEnding = true;
    if (!socket.writableNeedDrain) return this.conclude('complete');
    this.watchStall();
  }

  private conclude(sent: DeliveryOutcome, why?: ExchangeFailure): void {
    // A destroyed source reports its end, too.
    if (this.isOver) return;
    this.isOver = true;
    if (this.stall !== undefined) clearTimeout(this.stall);
    this.head = undefined;
    const { exchange, status } = this;
    const { account } = exchange;
    switch (sent) {
      case 'complete':
        account?.onFinished(status);
        exchange.finish();
        break;
      case 'source_broke':
        account?.onFinished(STATUS_BROKEN);
        exchange.cut();
        break;
      case 'caller_gone':
        account?.onFinished();
        this.source.destroy();
        break;
      case 'unsent':
        exchange.withdraw();
    }
    this.onDelivered?.(sent, why);
  }
}

/** Small pieces are written at once and need no copy. */
const uncopied = (bytes: Buffer): PooledCopy => ({ bytes, done: undefined });

/** @param done called when the bytes are with the kernel, or nowhere; not for few, which are taken at once */
export function writeBoth(socket: Socket, head: string, bytes: Buffer, done?: () => void): void {
  if (bytes.length <= ONE_WRITE_BYTES)
    return void socket.write(head + bytes.toString('latin1'), 'latin1');
  socket.cork();
  if (head !== '') socket.write(head, 'latin1');
  socket.write(bytes, done);
  socket.uncork();
}

export function writeChunk(socket: Socket, head: string, bytes: Buffer, done?: () => void): void {
  const begin = head + chunkHead(bytes.length);
  if (bytes.length <= ONE_WRITE_BYTES) {
    return void socket.write(`${begin}${bytes.toString('latin1')}\r\n`, 'latin1');
  }
  socket.cork();
  socket.write(begin, 'latin1');
  socket.write(bytes, done);
  socket.write('\r\n', 'latin1');
  socket.uncork();
}
