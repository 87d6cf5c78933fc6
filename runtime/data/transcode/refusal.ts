import type { ErrorCode } from '../../core/routing/error-codes';
import { ERROR_STATUS, wantsRetryAfter } from '../../core/routing/error-codes';

/** A thing that is wrong with a request, by path in its body. */
export interface Detail {
  readonly path: string;
  readonly message: string;
  readonly got?: string;
  readonly allowed?: string;
}

/** An answer that is an error. The message is for the caller: what, got, allowed, do this. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly more: {
      readonly details?: readonly Detail[];
      /** Lines of a head, each with its CRLF. */
      readonly headers?: string;
      readonly retryAfterSeconds?: number | undefined;
      /** Another status than that of the code. */
      readonly status?: number;
    } = {},
  ) {
    super(message);
  }

  get status(): number {
    return this.more.status ?? ERROR_STATUS[this.code];
  }

  /** When the caller may come again; undefined: the answer does not say. */
  get retryAfterSeconds(): number | undefined {
    const { status, retryAfterSeconds = 1 } = this.more;
    return wantsRetryAfter(this.code) || status !== undefined ? retryAfterSeconds : undefined;
  }
}
