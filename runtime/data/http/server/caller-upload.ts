import { BodyTooLarge, BodyTooSlow } from '../../../shared/body';
import type { BodySink, ExchangeFailure, Upload } from '../exchange';
import { ProgressTimer } from './progress-timer';

/** The exchange that owns an upload. */
export interface UploadOwner {
  /** As `Progress` has it; milliseconds. */
  readonly bodyMs: number;
  /** More of the body is wanted. */
  readonly read: () => void;
  /** The rest is to be thrown away. */
  readonly stop: () => void;
}

/**
 * The body of a request that is streamed to a server. Until a relay takes it, it holds the bytes
 * read before its size was known, and one read more. Then it holds one read at most, since the
 * caller is not read while the server accepts no more. With the buffers of the connections on both
 * sides that is below 512 KiB per request.
 */
export class CallerUpload implements Upload {
  private sink: BodySink | undefined;
  private held: Buffer[] = [];
  private bytes = 0;
  private hasBegun = false;
  private isBlocked = false;
  private isWhole = false;
  private isOver = false;
  private failure: ExchangeFailure | undefined;
  private readonly progress: ProgressTimer;

  constructor(
    readonly length: number | undefined,
    private readonly limit: number,
    private readonly owner: UploadOwner,
  ) {
    this.progress = new ProgressTimer(owner.bodyMs, () => this.fail(408, new BodyTooSlow()));
  }

  get isUntouched(): boolean {
    return !this.hasBegun;
  }

  /** It has a fault of the caller, which the handler reports. */
  get hasFailed(): boolean {
    return this.failure !== undefined;
  }

  /** Should the caller be read? */
  get wantsMore(): boolean {
    return this.isOver || (this.hasBegun && !this.isBlocked);
  }

  /** Adds a piece. `isWhole`: it is the last. */
  take(piece: Buffer, isWhole: boolean): void {
    if (this.isOver) return;
    this.bytes += piece.length;
    if (this.bytes > this.limit) return this.fail(413, new BodyTooLarge(this.limit));
    if (piece.length > 0) this.held.push(piece);
    this.isWhole = isWhole;
    this.watch(piece.length);
    this.deliver();
  }

  /** BodySource: starts delivery. */
  flow(sink: BodySink): void {
    this.hasBegun = true;
    this.sink = sink;
    if (this.failure !== undefined) return this.reportFailure(this.failure);
    this.resume();
  }

  /** BodySource: continues after `data` returned false. */
  resume(): void {
    this.isBlocked = false;
    this.deliver();
    if (this.isBlocked || this.isOver) return;
    this.watch(0);
    this.owner.read();
  }

  private deliver(): void {
    while (this.sink !== undefined && !this.isBlocked) {
      const piece = this.held.shift();
      if (piece === undefined) return this.isWhole ? this.end() : undefined;
      this.isBlocked = !this.sink.data(piece);
      // The server's time, not the caller's.
      if (this.isBlocked) this.progress.stop();
    }
  }

  private end(): void {
    const { sink } = this;
    this.close();
    sink?.end();
  }

  /** Runs the timer while the caller's bytes are awaited. */
  private watch(more: number): void {
    if (this.sink !== undefined) this.progress.more(more);
  }

  /** Ends the upload with a fault of the caller, which is reported to it. */
  fail(status: number, error: Error): void {
    if (this.isOver) return;
    const failure = { kind: 'rejected', status, error } as const;
    this.failure = failure;
    const { sink } = this;
    this.close();
    this.owner.stop();
    if (sink !== undefined) this.reportFailure(failure, sink);
  }

  private reportFailure(failure: ExchangeFailure, sink = this.sink): void {
    this.sink = undefined;
    sink?.fail(failure);
  }

  private close(): void {
    this.progress.stop();
    this.isOver = true;
    this.sink = undefined;
    this.held = [];
  }

  /** BodySource: the rest is discarded. */
  destroy(): void {
    if (this.isOver) return;
    this.close();
    this.owner.stop();
  }
}
