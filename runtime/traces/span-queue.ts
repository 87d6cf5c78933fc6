import type { Log } from '../shared/log';
import type { EndedSpan } from './tracer';

/** What became of a batch. `retry`: the collector may take it later. */
export type ExportResult =
  | { readonly kind: 'done'; readonly rejected: number }
  | { readonly kind: 'retry' | 'failed'; readonly why: string; readonly afterMs?: number };

export interface SpanQueueOptions {
  /** Spans that wait; more are dropped. */
  readonly maxSpans: number;
  /** Never rejects; ends when `timeoutMs` have passed. */
  readonly send: (spans: readonly EndedSpan[], timeoutMs: number) => Promise<ExportResult>;
  readonly timeoutMs: number;
  readonly now: () => number;
  readonly setTimeout: (work: () => void, ms: number) => () => void;
  readonly log: Log;
}

/** Serializing that many blocks the event loop for about 3 ms. */
const MAX_BATCH = 256;
/** Spans wait so long for others to go with, as in the batch processor of OpenTelemetry. */
const DELAY_MS = 5000;
/** Attempts of a batch, with doubled pauses. */
const MAX_SENDS = 4;
const FIRST_PAUSE_MS = 1000;
const MAX_PAUSE_MS = 30_000;
const LOG_EVERY_MS = 60_000;

/**
 * Spans on their way to the collector: a bounded queue, one batch under way at a time. Whatever the
 * collector does, requests do not notice.
 */
export class SpanQueue {
  private waiting: EndedSpan[] = [];
  /** Spans that no collector has got. */
  dropped = 0;
  private isSending = false;
  private isClosed = false;
  private toldAt = -Infinity;
  private cancel: (() => void) | undefined;
  private onIdle: () => void = () => undefined;

  constructor(private readonly options: SpanQueueOptions) {}

  add(span: EndedSpan): void {
    const { waiting, options } = this;
    if (this.isClosed || waiting.length >= options.maxSpans) {
      this.dropped += 1;
      // Else a collector that is slow, but never fails, would lose spans silently.
      if (!this.isClosed) this.tell('the queue is full (traces.max_queue)');
      return;
    }
    waiting.push(span);
    if (this.isSending) return;
    if (waiting.length === MAX_BATCH) this.schedule(0);
    else if (this.cancel === undefined) this.schedule(DELAY_MS);
  }

  private schedule(ms: number): void {
    this.cancel?.();
    this.cancel = this.options.setTimeout(() => {
      this.cancel = undefined;
      void this.sendBatch();
    }, ms);
  }

  private async sendBatch(): Promise<void> {
    const batch = this.waiting.splice(0, MAX_BATCH);
    if (batch.length === 0) return;
    this.isSending = true;
    await this.sendUntilTaken(batch);
    this.isSending = false;
    if (this.isClosed) return this.onIdle();
    if (this.waiting.length > 0) this.schedule(this.waiting.length < MAX_BATCH ? DELAY_MS : 0);
  }

  private async sendUntilTaken(batch: readonly EndedSpan[]): Promise<void> {
    for (let count = 1; ; count += 1) {
      const result = await this.options.send(batch, this.options.timeoutMs);
      if (result.kind === 'done') {
        if (result.rejected > 0) this.drop(result.rejected, 'the collector rejected spans');
        return;
      }
      if (result.kind === 'failed' || count === MAX_SENDS || this.isClosed) {
        return this.drop(batch.length, result.why);
      }
      this.tell(result.why);
      const pauseMs = result.afterMs ?? FIRST_PAUSE_MS * 2 ** (count - 1);
      await this.pause(Math.min(pauseMs, MAX_PAUSE_MS));
    }
  }

  /** Ends early when the queue is closed. */
  private pause(ms: number): Promise<void> {
    if (this.isClosed) return Promise.resolve();
    return new Promise((resolve) => {
      const end = (): void => {
        this.cancel = undefined;
        resolve();
      };
      const cancel = this.options.setTimeout(end, ms);
      this.cancel = () => {
        cancel();
        end();
      };
    });
  }

  private drop(count: number, why: string): void {
    this.dropped += count;
    this.tell(why);
  }

  private tell(why: string): void {
    const now = this.options.now();
    if (now - this.toldAt < LOG_EVERY_MS) return;
    this.toldAt = now;
    this.options.log.warn('traces: spans cannot be exported', { why, dropped: this.dropped });
  }

  /** Sends what waits, for as long as one export may take; the rest is dropped. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    const end = this.options.now() + this.options.timeoutMs;
    this.isClosed = true;
    const idle = this.isSending
      ? new Promise<void>((resolve) => {
          this.onIdle = resolve;
        })
      : Promise.resolve();
    this.cancel?.();
    this.cancel = undefined;
    await idle;
    while (this.waiting.length > 0) {
      const leftMs = end - this.options.now();
      if (leftMs <= 0) break;
      const batch = this.waiting.splice(0, MAX_BATCH);
      const result = await this.options.send(batch, leftMs);
      if (result.kind !== 'done') this.drop(batch.length, result.why);
    }
    if (this.waiting.length > 0) this.drop(this.waiting.length, 'the service ended before');
    this.waiting = [];
  }
}
