import type { ErrorCode } from '../../core/routing/error-codes';
import { ERROR_STATUS, wantsRetryAfter } from '../../core/routing/error-codes';

/** One fault of a request, by path in its body. */
export interface Detail {
  readonly path: string;
  readonly message: string;
  readonly got?: string;
  readonly allowed?: string;
}

/** An error response. The message has the fault, the allowed values and the correction. */
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

  /** Undefined: the response has no Retry-After. */
  get retryAfterSeconds(): number | undefined {
    const { status, retryAfterSeconds = 1 } = this.more;
    return wantsRetryAfter(this.code) || status !== undefined ? retryAfterSeconds : undefined;
  }
}
