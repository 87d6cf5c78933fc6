import type { Span, SpanKind, Tracer } from '../shared/spans';

export type SpanAttributes = ReadonlyMap<string, string | number>;

/** A span that has ended. Times are microseconds since the epoch. */
export interface EndedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parent: ParentSpan | undefined;
  /** The flags of W3C Trace Context. */
  readonly flags: number;
  readonly name: string;
  readonly kind: SpanKind;
  readonly startUs: number;
  readonly endUs: number;
  readonly attributes: SpanAttributes;
  readonly error: string | undefined;
}

export interface ParentSpan {
  readonly spanId: string;
  /** It belongs to another service. */
  readonly isRemote: boolean;
}

export interface TracerOptions {
  /** Part of the new traces that are recorded; of others their caller decides. */
  readonly sampleRatio: number;
  /** In [0, 1). */
  readonly random: () => number;
  /** That many hex digits, not all of them 0. */
  readonly newId: (digits: 16 | 32) => string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Milliseconds that never go backwards, with fractions. */
  readonly monotonicMs: () => number;
  readonly onEnd: (span: EndedSpan) => void;
}

/** https://www.w3.org/TR/trace-context-2/#trace-flags; others must be sent as 0. */
const SAMPLED = 0x01;
const RANDOM = 0x02;

/** Where the ids and the flags are in a `traceparent`. */
const TRACE_ID = [3, 35] as const;
const PARENT_ID = [36, 52] as const;
const FLAGS = [53, 55] as const;

/** Times of a trace: an adjusted clock must not make a child begin before its parent. */
class TraceTime {
  private readonly startedAt: number;
  private readonly offsetMs: number;

  constructor(private readonly options: Pick<TracerOptions, 'now' | 'monotonicMs'>) {
    this.startedAt = options.now();
    this.offsetMs = options.monotonicMs();
  }

  /** Microseconds since the epoch. */
  nowUs(): number {
    const passedMs = this.options.monotonicMs() - this.offsetMs;
    return Math.round((this.startedAt + passedMs) * 1000);
  }
}

class RecordedSpan implements Span {
  readonly traceparent: string;
  private readonly spanId: string;
  private readonly attributes = new Map<string, string | number>();
  private readonly startUs: number;
  private isOver = false;

  constructor(
    private readonly options: TracerOptions,
    private readonly time: TraceTime,
    private readonly traceId: string,
    private readonly parent: ParentSpan | undefined,
    private readonly flags: number,
    private name: string,
    private readonly kind: SpanKind,
    agoMs: number,
  ) {
    this.spanId = options.newId(16);
    this.traceparent = `00-${traceId}-${this.spanId}-0${flags}`;
    this.startUs = time.nowUs() - Math.round(agoMs * 1000);
  }

  child(name: string, kind: SpanKind, agoMs = 0): Span {
    const { options, time, traceId, flags, spanId } = this;
    const parent = { spanId, isRemote: false };
    return new RecordedSpan(options, time, traceId, parent, flags, name, kind, agoMs);
  }

  rename(name: string): void {
    this.name = name;
  }

  set(name: string, value: string | number): void {
    this.attributes.set(name, value);
  }

  end(error?: string): void {
    if (this.isOver) return;
    this.isOver = true;
    if (error !== undefined) this.attributes.set('error.type', error);
    const { traceId, spanId, parent, flags, name, kind, startUs, attributes } = this;
    const endUs = Math.max(startUs, this.time.nowUs());
    this.options.onEnd({
      traceId,
      spanId,
      parent,
      flags,
      name,
      kind,
      startUs,
      endUs,
      attributes,
      error,
    });
  }
}

/** Samples by the caller's decision, and where there is none by the ratio. */
export function createTracer(options: TracerOptions): Tracer {
  const { sampleRatio, random, newId } = options;
  return {
    start: (name, kind, traceparent) => {
      if (traceparent === undefined) {
        if (random() >= sampleRatio) return undefined;
        const flags = SAMPLED | RANDOM;
        const time = new TraceTime(options);
        return new RecordedSpan(options, time, newId(32), undefined, flags, name, kind, 0);
      }
      const flags = Number.parseInt(traceparent.slice(...FLAGS), 16) & (SAMPLED | RANDOM);
      if ((flags & SAMPLED) === 0) return undefined;
      const parent = { spanId: traceparent.slice(...PARENT_ID), isRemote: true };
      const traceId = traceparent.slice(...TRACE_ID);
      const time = new TraceTime(options);
      return new RecordedSpan(options, time, traceId, parent, flags, name, kind, 0);
    },
  };
}
