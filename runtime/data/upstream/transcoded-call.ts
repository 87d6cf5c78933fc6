import type { Asked, CallBase, Calling, Reply } from './call';
import type { Answered, Exchange, HeaderText } from '../http/exchange';
import type { Forwarded, Forwarding } from './relay';
import { Passage } from './relay';
import type { Attempt, JobResult, Tried } from '../dispatch/job';

/** Of an answer, what stands before its body. */
export type Head = Pick<Answered, 'status' | 'fields'>;

export type ToldBody = string | Buffer;

/** How one arm is asked, and what becomes of its answer. */
export interface Way {
  readonly asked: Asked;
  readonly headers: HeaderText;
  /** Does the answer go to the caller as it comes? Else it is read whole. */
  readonly passes: (answer: Head) => boolean;
  /** The caller's body of an answer that was read; later, if that is large. @throws Refusal */
  readonly read: (reply: Reply) => ToldBody | Promise<ToldBody>;
  /** Content-Type of that body. */
  readonly type: string;
}

/** @throws Refusal when the arm cannot be told the call */
export type WayTo = (attempt: Attempt) => Way | Promise<Way>;

export interface Crossed extends Forwarded {
  /** The answer was read; the caller has nothing yet. */
  readonly whole: (reply: Reply, way: Way) => void;
}

/** One try, once it is known how it is made. */
interface Try {
  readonly one: Attempt;
  readonly tried: Tried;
  readonly way: Way;
  readonly began: number;
}

/**
 * A call that reaches each arm in that arm's words: arms of one model may speak differently, and
 * which one it is is known with the try.
 */
class Crossing extends Passage {
  private last: Try | undefined;
  private whole: Omit<Reply, 'arm'> | undefined;
  private fault: { readonly reason: unknown } | undefined;

  constructor(
    calling: Calling,
    base: CallBase,
    exchange: Exchange,
    forwarding: Forwarding,
    private readonly crossed: Crossed,
    private readonly wayTo: WayTo,
  ) {
    super(calling, base, exchange, forwarding, crossed);
  }

  override attempt(one: Attempt, tried: Tried): void {
    const go = (way: Way): void => {
      this.last = { one, tried, way, began: performance.now() };
      this.asked = way.asked;
      super.attempt(one, tried);
    };
    this.prepare(() => this.wayTo(one), tried, go, this.cannot);
  }

  private readonly cannot = (reason: unknown): void => {
    this.fault = { reason };
  };

  protected override get headers(): HeaderText {
    return this.last?.way.headers ?? this.base.headers;
  }

  override answered(answer: Answered): void {
    const { last } = this;
    if (last === undefined || last.way.passes(answer)) return super.answered(answer);
    const { one, began, tried } = last;
    const keep = (body: Buffer): void => {
      const { status, fields } = answer;
      this.whole = { replica: one.replica, status, fields, body };
    };
    this.readWhole(one, began, answer, tried, keep, this.cannot);
  }

  override discard(): void {
    this.whole = undefined;
    super.discard();
  }

  override over(result: JobResult): void {
    const { fault, whole, last, crossed } = this;
    if (fault !== undefined) crossed.failed(fault.reason);
    else if (whole === undefined || last === undefined || result.kind !== 'answered')
      super.over(result);
    else crossed.whole({ arm: result.arm, ...whole }, last.way);
  }
}

/** Puts a call to whichever arm gets it, and its answer to the caller, as it comes or read. */
export function cross(
  calling: Calling,
  base: CallBase,
  exchange: Exchange,
  forwarding: Forwarding,
  crossed: Crossed,
  wayTo: WayTo,
): void {
  calling.dispatcher.start(new Crossing(calling, base, exchange, forwarding, crossed, wayTo));
}
