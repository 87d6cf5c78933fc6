/** Highest first: it is served first and rejected last. */
export const PRIORITIES = ['critical', 'high', 'normal', 'low'] as const;
export type Priority = (typeof PRIORITIES)[number];

/** Why a request never reached a replica. */
export type ShedReason =
  'queue_full' | 'deadline' | 'no_replica' | 'stopped' | 'deleting' | 'priority';

/** Why a request of a candidate was served by stable instead. */
export type SpillReason = 'arm_full' | 'arm_unready';

/** The end of a call that no caller may get to see. */
interface Replaceable {
  /**
   * Other calls take its place, such as one for each item of a batch. Their outcomes are what
   * callers get; this call has none.
   */
  readonly isReplaced?: true;
}

/** Result of one attempt at a replica. */
export type AttemptResult =
  /** The replica answered; 502, 503 and 504 count against it, 4xx do not. */
  | ({ readonly kind: 'answered'; readonly status: number } & Replaceable)
  /**
   * Nothing was sent: connection refused or not open in time. Safe to repeat. `broke`: the request
   * was sent on a kept connection that broke at once, and the reconnect was refused.
   */
  | { readonly kind: 'unreached'; readonly message: string; readonly broke?: true }
  /**
   * The connection broke after something was sent. `wasKept`: it had been used before, and no byte
   * of the answer had come: the server may only have closed it.
   */
  | { readonly kind: 'reset'; readonly message: string; readonly wasKept?: true }
  /** The response was invalid. */
  | { readonly kind: 'protocol'; readonly message: string }
  /** The deadline passed. */
  | { readonly kind: 'timeout' }
  /** The caller disconnected. */
  | { readonly kind: 'aborted' }
  /**
   * The router refuses the request itself, and the caller gets this status: its body is invalid,
   * too large or too slow, it cannot be transcoded for the server, or it would crash it.
   */
  | ({ readonly kind: 'rejected'; readonly status: number; readonly error: Error } & Replaceable);

/** Did the attempt end without the replica's doing? */
export const isInconclusive = ({ kind }: AttemptResult): boolean =>
  kind === 'aborted' || kind === 'rejected';

/** An answer that ended before its last byte. */
export interface BrokenAnswer {
  /** Who ended it: the server, or its deadline; or the caller, who went away. */
  readonly by: 'server' | 'caller';
  /** `stream`: an answer in events, as language models write it. */
  readonly kind: 'answer' | 'stream';
}

/** Outcome of one request; reported once per request, unless others take its place. */
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
  /** Its answer had begun and did not come to its end. */
  readonly broken?: BrokenAnswer | undefined;
  /** The request's candidate could not take it. */
  readonly spilled?: SpillReason | undefined;
  /** 32 hex digits of W3C Trace Context. */
  readonly traceId?: string | undefined;
  /** Short text of the last failure; never holds a body, header or key. */
  readonly failure?: string | undefined;
}
