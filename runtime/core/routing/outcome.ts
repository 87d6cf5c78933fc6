/** Who is served first, and who is turned away last. */
export const PRIORITIES = ['critical', 'high', 'normal', 'low'] as const;
export type Priority = (typeof PRIORITIES)[number];

/** Why a request never reached a replica. */
export type ShedReason =
  'queue_full' | 'deadline' | 'no_replica' | 'stopped' | 'deleting' | 'priority';

/** Why a request of a candidate was served by stable instead. */
export type SpillReason = 'arm_full' | 'arm_unready';

/** What became of one try at a replica. */
export type AttemptResult =
  /** The replica answered; 502, 503 and 504 count against it, 4xx do not. */
  | { readonly kind: 'answered'; readonly status: number }
  /**
   * Nothing was sent: refused or no connection in time. Safe to repeat. `broke`: it had been sent
   * over a kept connection, which broke at once, and then nobody listened any more.
   */
  | { readonly kind: 'unreached'; readonly message: string; readonly broke?: true }
  /**
   * The connection broke after something was sent. `wasKept`: it had been used before, and no byte
   * of the answer had come: the server may only have closed it.
   */
  | { readonly kind: 'reset'; readonly message: string; readonly wasKept?: true }
  /** What came back was no valid answer. */
  | { readonly kind: 'protocol'; readonly message: string }
  /** The deadline passed. */
  | { readonly kind: 'timeout' }
  /**
   * The caller went away; nobody else is to blame. With a status it is still there, and is told
   * that: its body was too large, too slow or no body.
   */
  | { readonly kind: 'aborted'; readonly status?: number };

/** What became of one request, once per request. */
export interface Outcome {
  readonly model: string;
  readonly arm: string;
  readonly version: string;
  /** Status the caller got; 499 when it went away first. */
  readonly status: number;
  /** From acceptance to the last byte, milliseconds. */
  readonly durationMs: number;
  readonly queuedMs: number;
  /** Milliseconds to the first byte; undefined when none came. */
  readonly firstByteMs: number | undefined;
  readonly tries: number;
  readonly shed?: ShedReason | undefined;
  /** It belonged to a candidate that could not take it. */
  readonly spilled?: SpillReason | undefined;
  /** 32 hex digits of W3C Trace Context. */
  readonly traceId?: string | undefined;
  /** Short text of the last failure; never holds a body, header or key. */
  readonly failure?: string | undefined;
}
