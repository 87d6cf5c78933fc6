import type { Socket } from 'node:net';
import type { Account, Broken, HeaderText, Sent, Sink, Source } from '../exchange';
import { chunkHead, LAST_CHUNK } from './chunked';
import type { Copied } from './slabs';
import { copied } from './slabs';

/** Head and body below this go out as one string: one system call, and no copy of the body. */
export const ONE_WRITE_BYTES = 16_384;

/** What an answer needs of its exchange. */
export interface Answering {
  readonly account?: Account | undefined;
  readonly begin: (status: number, headers: HeaderText) => Outgoing;
  /** Tells it when the caller goes away, and when it takes more. */
  readonly watch: (streaming: Streaming) => void;
  /** The last byte is with the socket. */
  readonly finish: () => void;
  /** The caller must not take what it has for the whole. */
  readonly cut: () => void;
}

/** How an answer goes out. */
export interface Outgoing {
  readonly socket: Socket;
  readonly head: string;
  readonly isBodiless: boolean;
  readonly isChunked: boolean;
  /** A caller that takes nothing for so long has gone; milliseconds. */
  readonly stallMs: number;
}

/** An answer that is passed on as it comes. */
export class Streaming implements Sink {
  private readonly out: Outgoing;
  /** Waits for the first piece, to go out with it. */
  private head: string | undefined;
  private stall: NodeJS.Timeout | undefined;
  private isEnding = false;
  private isOver = false;

  constructor(
    private readonly exchange: Answering,
    private readonly status: number,
    headers: HeaderText,
    private readonly source: Source,
    private readonly tell?: (sent: Sent) => void,
  ) {
    this.out = exchange.begin(status, headers);
    this.head = this.out.head;
  }

  start(): void {
    this.exchange.watch(this);
    this.source.flow(this);
    // An event stream must not wait for its first event.
    if (this.head !== undefined) this.flushHead();
  }

  private flushHead(): void {
    const { head } = this;
    this.head = undefined;
    if (head !== undefined) this.out.socket.write(head, 'latin1');
  }

  /** Sink. */
  data(piece: Buffer): boolean {
    const { socket, isBodiless, isChunked } = this.out;
    if (isBodiless) return true;
    const head = this.head ?? '';
    this.head = undefined;
    // The socket may keep it for longer than this call.
    const { bytes, done } = piece.length > ONE_WRITE_BYTES ? copied(piece) : asItIs(piece);
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

  /** The caller took what there was. */
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

  /** Sink. A caller who goes takes the source along; it may be the first to say so. */
  fail({ kind }: Broken): void {
    this.conclude(kind === 'aborted' ? 'caller_gone' : 'source_broke');
  }

  /** Sink. */
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

  private conclude(sent: Sent): void {
    // A source that is destroyed says so, too.
    if (this.isOver) return;
    this.isOver = true;
    if (this.stall !== undefined) clearTimeout(this.stall);
    this.head = undefined;
    const { exchange, status } = this;
    exchange.account?.over(sent === 'caller_gone' ? undefined : status);
    if (sent === 'complete') exchange.finish();
    else if (sent === 'source_broke') exchange.cut();
    else this.source.destroy();
    this.tell?.(sent);
  }
}

/** What goes out as text is taken at once. */
const asItIs = (bytes: Buffer): Copied => ({ bytes, done: undefined });

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
