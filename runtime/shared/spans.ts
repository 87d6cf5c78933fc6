// What the planes know of traces. `runtime/traces` implements it, where traces are configured.

export type SpanKind = 'internal' | 'server' | 'client';

/** One operation of a trace that is recorded. */
export interface Span {
  /** The `traceparent` of what this operation calls. */
  readonly traceparent: string;
  /** It began `agoMs` milliseconds before now. */
  readonly child: (name: string, kind: SpanKind, agoMs?: number) => Span;
  readonly rename: (name: string) => void;
  /** Never a body, a header value or a credential. */
  readonly set: (name: string, value: string | number) => void;
  /** Once. `error`: the `error.type` of an operation that failed; absent: it did not. */
  readonly end: (error?: string) => void;
}

/** Begins traces, or continues those of callers. */
export interface Tracer {
  /**
   * @param traceparent valid; absent: a new trace
   * @returns undefined: this trace is not sampled
   */
  readonly start: (
    name: string,
    kind: SpanKind,
    traceparent: string | undefined,
  ) => Span | undefined;
}
