import type { Asker, Broken, Sink, Source, Upload } from '../exchange';
import type { Asking } from './request-writer';
import { write } from './request-writer';
import type { ClientSocket } from './client-socket';
import type { BodyReader } from '../buffers/body-reader';
import { readerOf } from '../buffers/body-reader';
import { ChunkBudget } from '../buffers/chunk-budget';
import { HttpFault } from '../fields';
import { HeadCollector } from '../buffers/head-reader';
import { fewer } from '../buffers/body-buffer';
import type { ResponseHead } from './response-head';
import { checkBegin, checkMeant, keptMsOf, parseResponse } from './response-head';
import type { Receiver } from './request-body-writer';
import { Uploading } from './request-body-writer';

/** So much of an answer is kept that nobody reads yet. */
const MAX_UNREAD_BYTES = 65_536;
/**
 * A server that had closed a kept connection when a request came says so within a round trip;
 * what breaks later broke while the request ran. Milliseconds.
 */
const STALE_MS = 100;
/** A server that works may say so now and then (102); more than this is a flood. */
const MAX_INTERIM_ANSWERS = 1000;

/** What the pool wants to know. */
export interface Owner {
  /** The answer is complete and the connection can take another request. */
  readonly onFree: (connection: ClientConnection) => void;
  readonly onGone: (connection: ClientConnection) => void;
  /**
   * The server had closed the connection before it took the request, which needs another one. Not
   * called for the first request of a connection. `isSent`: the kernel had taken the request.
   */
  readonly onStale: (asking: Asking, asker: Asker, isSent: boolean) => void;
}

/** One connection to a server: requests one after the other. */
export class ClientConnection implements Source, Receiver {
  private asking: Asking | undefined;
  /** Until it is told. */
  private asker: Asker | undefined;
  private readonly heads = new HeadCollector();
  private reader: BodyReader | undefined;
  private keepAlive = false;
  private sink: Sink | undefined;
  /** What came in one read with the head, while the asker is told. */
  private arrived: Buffer | undefined;
  private unread: Buffer[] = [];
  private unreadBytes = 0;
  private isConnected = false;
  private timer: NodeJS.Timeout | undefined;
  private uploading: Uploading | undefined;
  /** Whoever reads the answer is slow. */
  private isHeld = false;
  private readonly budget: ChunkBudget;
  /** The server ended the connection before anyone read the answer. */
  private isEnded = false;

  /** Has a byte of the answer come? */
  private isHeard = false;
  /** Answers before the real one. */
  private interim = 0;
  /** The kernel took not a byte of the request. */
  private isUnsent = false;
  /** When the request went out over a connection that was kept; undefined: it is the first. */
  private reusedAt: number | undefined;

  /** When its last answer was complete; milliseconds of `performance.now()`. */
  idleSince = 0;
  /** So long the server keeps an idle connection, as it says itself, and a margin; milliseconds. */
  keptMs = Infinity;

  constructor(
    private readonly socket: ClientSocket,
    private readonly owner: Owner,
    connectMs: number,
  ) {
    socket.setNoDelay(true);
    this.budget = new ChunkBudget(socket, () => !this.isHeld);
    const late = setTimeout(
      () => this.break({ kind: 'unreached', message: 'connect timeout' }),
      connectMs,
    );
    socket.on('connect', () => {
      this.isConnected = true;
      clearTimeout(late);
      this.uploading?.begin();
    });
    socket.on('drain', () => this.uploading?.drained());
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

  ask(asking: Asking, asker: Asker): void {
    this.asking = asking;
    this.asker = asker;
    this.isHeard = false;
    this.interim = 0;
    if (this.idleSince > 0) this.reusedAt = performance.now();
    asking.signal.addEventListener('abort', this.onAbort);
    this.timer = setTimeout(this.onTimeout, asking.timeoutMs);
    write(this.socket, asking);
    // Told at once it is of the whole request; told later it may be of the end of it.
    this.isUnsent = this.socket.errored !== null;
    if (asking.upload !== undefined) this.begin(asking.upload);
  }

  private begin(upload: Upload): void {
    this.uploading = new Uploading(this.socket, upload, this);
    if (this.isConnected && !this.isUnsent) this.uploading.begin();
  }

  /** Receiver: while its caller is waited for, a server need not answer. */
  onTurn(): void {
    if (this.uploading?.waitsForCaller === true) this.stopTime();
    else this.runTime();
  }

  onDelivered(): void {
    this.asker?.delivered?.();
  }

  onFailed(why: Broken): void {
    this.break(why);
  }

  private stopTime(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private runTime(): void {
    const { asking } = this;
    if (asking === undefined || this.isHeld || this.uploading?.waitsForCaller === true) return;
    this.timer ??= setTimeout(this.onTimeout, asking.timeoutMs);
  }

  /** What is to be asked again, for the server had closed the connection before it came. */
  private unheard(why: Broken): Asking | undefined {
    const { asking, reusedAt } = this;
    if (why.kind !== 'reset' || asking === undefined || reusedAt === undefined) return undefined;
    const elapsed = performance.now() - reusedAt;
    const isSafe = this.isUnsent || (asking.repeatable && elapsed < STALE_MS);
    if (this.isHeard || !isSafe) return undefined;
    return { ...asking, timeoutMs: Math.max(1, asking.timeoutMs - elapsed) };
  }

  private readonly onAbort = (): void => this.break({ kind: 'aborted' });
  private readonly onTimeout = (): void => this.break({ kind: 'timeout' });

  /** What the socket brought. The bytes are ours for this call only. */
  onData(bytes: Buffer): void {
    // Nobody asked: whatever this is, it is no answer to the next request.
    if (this.asking === undefined) return void this.socket.destroy();
    this.isHeard = true;
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
    const { asking } = this;
    if (asking === undefined) return;
    // Interim answers come before the real one.
    for (let rest = bytes; rest.length > 0;) {
      const found = this.heads.take(rest);
      if (found === undefined) return checkBegin(this.heads.text);
      const head = parseResponse(found.head, asking.method);
      rest = rest.subarray(found.end);
      checkMeant(head.status, asking.refusesRedirects === true);
      if (head.status >= 200) return this.answered(head, rest);
      this.interim += 1;
      if (this.interim > MAX_INTERIM_ANSWERS) {
        throw new HttpFault(502, `more than ${MAX_INTERIM_ANSWERS} interim answers (1xx)`);
      }
    }
  }

  private answered({ status, fields, framing, keepAlive }: ResponseHead, rest: Buffer): void {
    const reader = readerOf(framing);
    this.reader = reader;
    this.keepAlive = keepAlive;
    if (this.idleSince === 0) this.keptMs = keptMsOf(fields);
    const { asker } = this;
    this.asker = undefined;
    // Taken before the asker is told: whoever reads at once gets it without a copy.
    this.arrived = rest;
    asker?.answered({ kind: 'answered', status, fields, body: this });
    const left = this.arrived;
    this.arrived = undefined;
    // The asker may have had enough, or all.
    if (this.reader !== reader) return;
    // Not for a part of a head: one that drips would never be late.
    this.timer?.refresh();
    if (left !== undefined) this.keep(Buffer.from(left));
  }

  private takeBody(bytes: Buffer): void {
    if (this.sink === undefined) return this.keep(Buffer.from(bytes));
    this.pass(this.sink, bytes);
  }

  private keep(bytes: Buffer): void {
    if (bytes.length > 0) this.unread.push(bytes);
    this.unreadBytes += bytes.length;
    if (this.unreadBytes > MAX_UNREAD_BYTES) this.socket.pause();
  }

  private pass(sink: Sink, bytes: Buffer): void {
    const { reader } = this;
    if (reader === undefined) return;
    // All of a read is looked at before any of it is given: a first chunk that is none is an error,
    // and not the beginning of an answer.
    let first: Buffer | undefined;
    let others: Buffer[] | undefined;
    const taken = reader.write(bytes, (piece) => {
      if (first === undefined) first = piece;
      else if (others === undefined) others = [piece];
      else others.push(piece);
    });
    let wantsMore = first === undefined || sink.data(first);
    for (const piece of others === undefined ? [] : fewer(others)) {
      if (this.reader !== reader) return;
      wantsMore = sink.data(piece) && wantsMore;
    }
    // The reader of the answer may have had enough meanwhile.
    if (this.reader !== reader) return;
    if (reader.isDone) return this.complete(taken === bytes.length);
    if (others !== undefined) this.budget.spend(others.length);
    if (!wantsMore) this.pause();
  }

  /** Source: starts to give the body. */
  flow(sink: Sink): void {
    this.sink = sink;
    const before = this.arrived === undefined ? this.unread : [this.arrived];
    this.arrived = undefined;
    this.forget();
    try {
      // Also an empty one is complete only when it is looked at.
      for (const bytes of before.length > 0 ? before : [Buffer.alloc(0)]) {
        if (this.sink === sink) this.pass(sink, bytes);
      }
    } catch (error) {
      if (!(error instanceof HttpFault)) throw error;
      this.break({ kind: 'protocol', message: error.message });
    }
    if (this.sink !== sink) return;
    if (this.isEnded) this.onEnd();
    else if (this.socket.isPaused() && !this.isHeld) this.budget.resume();
  }

  /** Whoever reads is slow: that is not the server's silence. */
  private pause(): void {
    this.isHeld = true;
    this.stopTime();
    this.socket.pause();
  }

  /** Source: goes on after `data` answered false. */
  resume(): void {
    if (this.asking === undefined) return;
    this.isHeld = false;
    this.runTime();
    this.budget.resume();
  }

  /** Source: nobody wants the rest. */
  destroy(): void {
    this.break({ kind: 'aborted' });
  }

  private onEnd(): void {
    const { reader, sink } = this;
    if (reader !== undefined && sink === undefined) this.isEnded = true;
    else if (reader?.mayEnd === true) this.complete(false);
    else this.break({ kind: 'reset', message: 'the connection ended' });
  }

  private forget(): void {
    if (this.unread.length > 0) this.unread = [];
    this.unreadBytes = 0;
  }

  private release(): void {
    this.stopTime();
    const { uploading } = this;
    this.uploading = undefined;
    this.isHeld = false;
    this.budget.renew();
    this.asking?.signal.removeEventListener('abort', this.onAbort);
    this.asking = undefined;
    this.reader = undefined;
    this.sink = undefined;
    this.asker = undefined;
    this.arrived = undefined;
    this.forget();
    uploading?.stop();
  }

  /** The answer is whole. Bytes behind it, or a request that is not out yet, end the connection. */
  private complete(isClean: boolean): void {
    const { sink } = this;
    const isSent = this.uploading?.isDone !== false && this.socket.writableLength === 0;
    const isFree = isClean && this.keepAlive && isSent;
    this.release();
    if (isFree) {
      this.socket.resume();
      this.idleSince = performance.now();
      this.owner.onFree(this);
    } else this.socket.destroy();
    sink?.end();
  }

  private break(why: Broken): void {
    const { asker, sink } = this;
    const unheard = this.unheard(why);
    this.release();
    this.socket.destroy();
    if (unheard !== undefined && asker !== undefined) {
      return this.owner.onStale(unheard, asker, !this.isUnsent);
    }
    const isKept = why.kind === 'reset' && !this.isHeard && this.reusedAt !== undefined;
    asker?.broken(isKept ? { ...why, wasKept: true } : why);
    sink?.fail(why);
  }

  close(): void {
    this.socket.destroy();
  }
}
