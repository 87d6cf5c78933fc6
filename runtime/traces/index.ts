import { randomFillSync } from 'node:crypto';
import type { Log } from '../shared/log';
import type { Tracer } from '../shared/spans';
import type { ExporterOptions } from './otlp-exporter';
import { createOtlpExporter } from './otlp-exporter';
import { SpanQueue } from './span-queue';
import { createTracer } from './tracer';

export { parseHeaders } from './otlp-exporter';

/** Records traces and exports them. */
export interface Traces {
  readonly tracer: Tracer;
  /** Spans that no collector has got. */
  readonly dropped: () => number;
  /** Exports what waits, for at most `timeoutMs`; never rejects. */
  readonly close: () => Promise<void>;
}

export interface TracesOptions extends ExporterOptions {
  readonly sampleRatio: number;
  readonly maxQueue: number;
  readonly timeoutMs: number;
  readonly now: () => number;
  readonly log: Log;
}

/** Random bytes are made for many ids at once: one by one they cost 1 µs. */
const POOL_BYTES = 4096;

/** @returns makes ids of so many hex digits */
function idSource(): (digits: 16 | 32) => string {
  const pool = Buffer.allocUnsafe(POOL_BYTES);
  let at = POOL_BYTES;
  return (digits) => {
    const length = digits / 2;
    if (at + length > POOL_BYTES) {
      randomFillSync(pool);
      at = 0;
    }
    const id = pool.toString('hex', at, at + length);
    at += length;
    // An id of zeros is invalid.
    return /[^0]/.test(id) ? id : `${id.slice(1)}1`;
  };
}

function startTimer(work: () => void, ms: number): () => void {
  const timer = setTimeout(work, ms);
  // Closing exports what waits; the timer alone need not keep the process.
  timer.unref();
  return () => clearTimeout(timer);
}

export function openTraces(options: TracesOptions): Traces {
  const { sampleRatio, maxQueue: maxSpans, timeoutMs, now, log } = options;
  const { send, close: end } = createOtlpExporter(options);
  const queue = new SpanQueue({ maxSpans, send, timeoutMs, now, setTimeout: startTimer, log });
  const tracer = createTracer({
    sampleRatio,
    random: Math.random,
    newId: idSource(),
    now,
    monotonicMs: () => performance.now(),
    onEnd: (span) => queue.add(span),
  });
  const close = async (): Promise<void> => {
    await queue.close();
    end();
  };
  return { tracer, dropped: () => queue.dropped, close };
}
