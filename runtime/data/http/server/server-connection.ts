import type { Socket } from 'node:net';
import type { Exchange } from '../exchange';
import type { Holding } from '../../../shared/held-bytes';
import { HeldBytes } from '../../../shared/held-bytes';
import { ReadBudget } from '../buffers/read-budget';
import { HttpFault } from '../fields';
import { HeadReader } from '../buffers/head-reader';
import type { CallerLimits } from './caller-limits';
import { CallerProbe } from './caller-probe';
import type { ShownCertificates } from './client-certificate';
import type { WriteRefusal } from './early-refusal';
import { parsePartialRequest, refusalText } from './early-refusal';
import { parseRequest } from './request-head';
import type { ExchangeConnection } from './server-exchange';
import { ServerExchange } from './server-exchange';

/** Input after a refusal is still read for this time, so that a reset does not destroy the refusal. */
const LINGER_MS = 1000;
/** Requests that came before their turn; bytes. */
const MAX_AHEAD_BYTES = 65_536;

const CR = 0x0d;
const LF = 0x0a;
const NOTHING = Buffer.alloc(0);

const UNBOUNDED = new HeldBytes(Number.POSITIVE_INFINITY);

export interface ConnectionCallbacks {
  readonly handle: (exchange: Exchange) => void;
  readonly refuse: WriteRefusal;
  readonly limits: CallerLimits;
  /** Memory for all requests; absent: without a bound. */
  readonly held?: HeldBytes;
  /** Absent: the port does not speak TLS. */
  readonly certificates?: Pick<ShownCertificates, 'of'>;
  /** The server ends: answers say so. */
  readonly isClosing: () => boolean;
}

/** One connection of a caller: requests one after the other, also when they come all at once. */
export class ServerConnection implements ExchangeConnection {
  readonly remoteAddress: string;
  readonly budget: ReadBudget;
  private readonly heads: HeadReader;
  private current: ServerExchange | undefined;
  /** A whole head while it is parsed. */
  private head = '';
  /** Input not yet processed: usually one read; later reads are in `behind`. */
  private ahead: Buffer | undefined;
  private behind: Buffer[] = [];
  private aheadBytes = 0;
  /** Ends it when the head of a request, or the caller of the last answer, takes too long. */
  private watch: NodeJS.Timeout | undefined;
  /** No byte has come over it. */
  private isSilent = true;
  /** Has a request come over it? */
  hasAsked = false;
  private isEnding = false;
  /** The caller has ended its side: it may wait for its answers, or be gone. */
  private isFinished = false;
  private readonly probe = new CallerProbe();
  private isWorking = false;
  /** A body is waited for. */
  private isTimed = false;
  /** After so long without a byte `onTimeout` is called; milliseconds. */
  private quietMs = 0;

  constructor(
    readonly socket: Socket,
    readonly secure: boolean,
    private readonly callbacks: ConnectionCallbacks,
  ) {
    this.remoteAddress = socket.remoteAddress ?? '';
    socket.setNoDelay(true);
    this.budget = new ReadBudget(socket, () => this.aheadBytes <= MAX_AHEAD_BYTES);
    this.heads = new HeadReader(callbacks.limits.maxHeadBytes);
    this.watchQuiet(callbacks.limits.keepAliveMs);
    // A client that has connected is about to ask; one that it keeps in store is opened again.
    this.watch = setTimeout(() => this.endUnlessAsked(), callbacks.limits.headMs);
    socket.on('timeout', () => this.onTimeout());
    socket.on('data', (bytes: Buffer) => this.onData(bytes));
    socket.on('drain', () => this.onDrain());
    socket.on('end', () => {
      this.isFinished = true;
      this.checkFinished();
    });
    socket.on('error', () => this.onGone());
    socket.on('close', () => this.onGone());
  }

  isLast(): boolean {
    return this.callbacks.isClosing();
  }

  get stallMs(): number {
    return this.callbacks.limits.stallMs;
  }

  get bodyMs(): number {
    return this.callbacks.limits.bodyMs;
  }

  get certificate(): Exchange['certificate'] {
    return this.callbacks.certificates?.of(this.socket);
  }

  /** ExchangeConnection: memory for a request that begins. */
  hold(): Holding {
    return (this.callbacks.held ?? UNBOUNDED).of(this.remoteAddress);
  }

  private onDrain(): void {
    if (this.current !== undefined) return this.current.drained();
    if (this.isEnding) return;
    this.budget.resume();
    this.work();
  }

  private onData(bytes: Buffer): void {
    this.budget.spendRead(bytes.length);
    if (this.isEnding) return;
    if (this.ahead === undefined) this.ahead = bytes;
    else this.behind.push(bytes);
    this.aheadBytes += bytes.length;
    this.work();
  }

  /** Processes the buffered input as far as possible. */
  private work(): void {
    // An answer that is out at once would otherwise go deeper with every request.
    if (this.isWorking) return;
    this.isWorking = true;
    try {
      while (this.aheadBytes > 0 && !this.isEnding && this.step());
    } catch (error) {
      if (!(error instanceof HttpFault)) throw error;
      this.refuse(error);
    } finally {
      this.isWorking = false;
    }
    // The current request has taken its part; the rest belongs to later requests.
    if (this.aheadBytes > MAX_AHEAD_BYTES) this.socket.pause();
    if (this.isFinished) this.checkFinished();
  }

  /** After the caller's FIN, complete requests are still answered (RFC 9112, 9.6). */
  private checkFinished(): void {
    const { current, aheadBytes } = this;
    if (this.isEnding || this.isWorking) return;
    if (current === undefined) return aheadBytes === 0 ? this.end() : undefined;
    if (current.isRead) this.probe.start(current);
    else if (aheadBytes === 0) this.onGone();
  }

  private next(): Buffer {
    const { ahead = NOTHING, behind } = this;
    this.drop();
    return behind.length === 0 ? ahead : Buffer.concat([ahead, ...behind]);
  }

  private keep(bytes: Buffer, from: number): void {
    if (from >= bytes.length || this.isEnding) return;
    if (this.ahead !== undefined) this.behind.unshift(this.ahead);
    this.ahead = bytes.subarray(from);
    this.aheadBytes += this.ahead.length;
  }

  private drop(): void {
    this.ahead = undefined;
    if (this.behind.length > 0) this.behind = [];
    this.aheadBytes = 0;
  }

  /** @returns whether there may be more to do @throws HttpFault */
  private step(): boolean {
    const { current } = this;
    if (current === undefined) {
      // A caller that sends requests without reading responses would fill memory.
      return !this.socket.writableNeedDrain && this.takeHead(this.next());
    }
    if (current.isRead || !current.hasRoom) return false;
    const bytes = this.next();
    this.keep(bytes, current.take(bytes));
    // From here on the time is the server's, not the caller's.
    if (current.isRead) this.isTimed = false;
    return true;
  }

  private takeHead(bytes: Buffer): boolean {
    // One empty line before a request is forgiven (RFC 9112, 2.2).
    const skipped = !this.heads.isBegun && bytes[0] === CR && bytes[1] === LF ? 2 : 0;
    const found = this.heads.take(skipped === 0 ? bytes : bytes.subarray(skipped));
    if (found === undefined) {
      this.watchHead();
      return false;
    }
    this.isSilent = false;
    clearTimeout(this.watch);
    this.watch = undefined;
    this.keep(bytes, skipped + found.end);
    this.begin(found.head);
    return true;
  }

  /** The time of a head begins with its first byte. */
  private watchHead(): void {
    if (this.isSilent) {
      this.isSilent = false;
      clearTimeout(this.watch);
      this.watch = undefined;
    }
    this.watch ??= setTimeout(
      () => this.refuse(new HttpFault(408, 'the head of the request did not come in time')),
      this.callbacks.limits.headMs,
    );
  }

  private begin(head: string): void {
    this.head = head;
    const exchange = new ServerExchange(parseRequest(head), this);
    this.head = '';
    this.current = exchange;
    this.hasAsked = true;
    this.budget.begin();
    if (this.aheadBytes > 0 && !exchange.isRead) {
      const bytes = this.next();
      this.keep(bytes, exchange.take(bytes));
    }
    this.callbacks.handle(exchange);
  }

  /** ExchangeConnection: more of the body is wanted. */
  read(isTimed: boolean): void {
    this.isTimed = isTimed;
    if (isTimed) this.watchQuiet(this.bodyMs);
    this.budget.resume();
    this.work();
  }

  /** ExchangeConnection: of a body that is waited for too little has come. */
  onTooSlow(): void {
    this.refuse(new HttpFault(408, 'the body of the request did not come in time'));
  }

  /** ExchangeConnection: nothing of the body is waited for. */
  stopTimer(): void {
    this.isTimed = false;
  }

  /** Set once for all requests: a timer that is set and cleared for each costs half a microsecond. */
  private watchQuiet(ms: number): void {
    if (this.quietMs === ms) return;
    this.quietMs = ms;
    this.socket.setTimeout(ms);
  }

  /** ExchangeConnection: the answer is out. */
  onAnswered(reusable: boolean): void {
    this.current = undefined;
    this.isTimed = false;
    if (this.isFinished) this.probe.stop();
    if (!reusable) return this.end();
    this.watchQuiet(this.callbacks.limits.keepAliveMs);
    this.budget.resume();
    this.work();
  }

  private refuse(fault: HttpFault): void {
    const { current } = this;
    if (current?.spoil(fault) === true) return;
    this.current = undefined;
    // Of an answer that has begun the end is missing, and that is how the caller sees it.
    if (current?.hasBegun === true) this.socket.destroy();
    else if (this.socket.writable) this.socket.write(this.refusal(fault, current));
    current?.abandon();
    this.end();
  }

  private refusal(fault: HttpFault, current: ServerExchange | undefined): string {
    const seen =
      current === undefined
        ? parsePartialRequest(this.head || this.heads.text)
        : { path: current.path, requestId: current.fields.get('x-request-id') };
    return refusalText(fault, this.callbacks.refuse(fault, seen)).slice(
      current?.sentCharacters ?? 0,
    );
  }

  /** Ends our side and discards further input, so that a reset does not destroy the last response. */
  private end(): void {
    if (this.isEnding) return;
    this.isEnding = true;
    this.probe.stop();
    this.drop();
    clearTimeout(this.watch);
    const { socket, callbacks } = this;
    const cut = (): void => void socket.destroy();
    // At most one slice of the response is still buffered.
    this.watch = setTimeout(cut, callbacks.limits.stallMs);
    socket.once('finish', () => {
      clearTimeout(this.watch);
      this.watch = setTimeout(cut, LINGER_MS).unref();
    });
    socket.end();
    socket.resume();
    socket.setTimeout(0);
  }

  private onTimeout(): void {
    // The timer has fired; `watchQuiet` sets it again.
    this.quietMs = 0;
    if (this.current === undefined) this.endUnlessAsked();
    // Otherwise the time is the server's.
    else if (this.isTimed) this.onTooSlow();
  }

  /** After a stall, timers fire before the input that arrived in time is read. */
  private endUnlessAsked(): void {
    const { bytesRead } = this.socket;
    setImmediate(() => {
      if (this.socket.bytesRead === bytesRead) this.socket.destroy();
    });
  }

  private onGone(): void {
    clearTimeout(this.watch);
    this.probe.stop();
    this.budget.renew();
    const { current } = this;
    this.current = undefined;
    current?.abandon();
    if (!this.isEnding) this.socket.destroy();
  }

  /** Ends a connection that has nothing to do: its last answer is with the kernel. */
  closeIdle(): void {
    if (this.current === undefined && this.socket.writableLength === 0) this.socket.destroy();
  }
}
