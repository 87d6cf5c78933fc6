import { BodyTooLarge, BodyTooSlow } from '../../../shared/body';
import type { Sink, Upload } from '../exchange';
import { Progress } from './progress';

/** What an upload needs of its exchange. */
export interface Uploader {
  /** As `Progress` has it; milliseconds. */
  readonly bodyMs: number;
  /** More of the body is wanted. */
  readonly read: () => void;
  /** The rest is to be thrown away. */
  readonly stop: () => void;
}

/**
 * The body of a request that goes to a server while it comes. It is held until somebody takes it:
 * what was read before it was known how large it is, and one read more. From then on nothing is
 * held but what one read brought, for the caller is not read while the server takes no more. With
 * what the connections on both sides hold that is below 512 KiB for each request.
 */
export class CallerUpload implements Upload {
  fault: Error | undefined;
  private sink: Sink | undefined;
  private held: Buffer[] = [];
  private bytes = 0;
  private hasBegun = false;
  private isBlocked = false;
  private isWhole = false;
  private isOver = false;
  private failedWith: number | undefined;
  private readonly progress: Progress;

  constructor(
    readonly length: number | undefined,
    private readonly limit: number,
    private readonly from: Uploader,
  ) {
    this.progress = new Progress(from.bodyMs, () => this.fail(408, new BodyTooSlow()));
  }

  get isUntouched(): boolean {
    return !this.hasBegun;
  }

  /** Should the caller be read? */
  get wantsMore(): boolean {
    return this.isOver || (this.hasBegun && !this.isBlocked);
  }

  /** What came. `isWhole`: there is no more. */
  take(piece: Buffer, isWhole: boolean): void {
    if (this.isOver) return;
    this.bytes += piece.length;
    if (this.bytes > this.limit) return this.fail(413, new BodyTooLarge(this.limit));
    if (piece.length > 0) this.held.push(piece);
    this.isWhole = isWhole;
    this.watch(piece.length);
    this.give();
  }

  /** Source: it may begin. */
  flow(sink: Sink): void {
    this.hasBegun = true;
    this.sink = sink;
    if (this.failedWith !== undefined) return this.tell(this.failedWith);
    this.resume();
  }

  /** Source: goes on after `data` answered false. */
  resume(): void {
    this.isBlocked = false;
    this.give();
    if (this.isBlocked || this.isOver) return;
    this.watch(0);
    this.from.read();
  }

  private give(): void {
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

  /** The caller's time, while it is the one who is waited for. */
  private watch(more: number): void {
    if (this.sink !== undefined) this.progress.more(more);
  }

  /** It ends here, by the caller's fault, who is told. */
  fail(status: number, fault: Error): void {
    if (this.isOver) return;
    this.fault = fault;
    this.failedWith = status;
    const { sink } = this;
    this.close();
    this.from.stop();
    if (sink !== undefined) this.tell(status, sink);
  }

  private tell(status: number, sink = this.sink): void {
    this.sink = undefined;
    sink?.fail({ kind: 'aborted', status });
  }

  private close(): void {
    this.progress.stop();
    this.isOver = true;
    this.sink = undefined;
    this.held = [];
  }

  /** Source: nobody wants the rest. */
  destroy(): void {
    if (this.isOver) return;
    this.close();
    this.from.stop();
  }
}
