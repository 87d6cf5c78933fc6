import { ServeError } from './errors';

/** One request on its way: when its time is up, and whether its caller went away. */
export class RequestLifetime {
  private gone = false;
  private onGone: (() => void) | undefined;

  constructor(
    /** performance.now() at which its answer is no longer wanted. */
    readonly deadline: number,
  ) {}

  get abandoned(): boolean {
    return this.gone;
  }

  abandon(): void {
    this.gone = true;
    this.onGone?.();
  }

  whenAbandoned(listener: (() => void) | undefined): void {
    this.onGone = listener;
  }
}

export const timedOut = (where: string): ServeError =>
  new ServeError(504, `the request's time was up ${where}`);

/** Not sent; 499 is nginx's status for a closed request. */
const abandoned = (): ServeError => new ServeError(499, 'the caller went away');

interface Waiter {
  readonly call: RequestLifetime;
  readonly start: () => void;
  readonly refuse: (error: ServeError) => void;
}

/** setTimeout fires at once beyond 31 bits. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** Lets so many runs in at a time; the rest waits in order, up to a limit. */
export class ConcurrencyLimiter {
  private inside = 0;
  private readonly waiting = new Set<Waiter>();
  /** One timer for all waiters: most have the same time limit, so it is rarely set again. */
  private alarm: { readonly at: number; readonly timer: NodeJS.Timeout } | undefined;

  constructor(
    private readonly limit: number,
    private readonly maxWaiting: number,
    private readonly now: () => number = () => performance.now(),
  ) {}

  get running(): number {
    return this.inside;
  }

  get queued(): number {
    return this.waiting.size;
  }

  /**
   * Takes a slot, at once or later; give it back with `leave`. Throws or rejects with 503 when the
   * queue is full and 504 when the call's deadline passes while it waits.
   */
  acquire(call: RequestLifetime): Promise<void> | undefined {
    if (call.deadline <= this.now()) throw timedOut('before it could start');
    if (this.inside < this.limit) {
      this.inside += 1;
      return undefined;
    }
    if (this.waiting.size >= this.maxWaiting) {
      throw new ServeError(
        503,
        `the queue is full: ${this.inside} requests run and ${this.waiting.size} wait; try again`,
        { 'retry-after': '1' },
      );
    }
    return this.wait(call);
  }

  release(): void {
    for (const next of this.waiting) {
      this.remove(next);
      if (next.call.deadline > this.now()) {
        next.start();
        return;
      }
      next.refuse(timedOut('while it waited in the queue'));
    }
    this.inside -= 1;
  }

  private wait(call: RequestLifetime): Promise<void> {
    return new Promise((start, refuse) => {
      const waiter: Waiter = { call, start, refuse };
      call.whenAbandoned(() => {
        this.remove(waiter);
        refuse(abandoned());
      });
      this.waiting.add(waiter);
      this.watch(call.deadline);
    });
  }

  private remove(waiter: Waiter): void {
    this.waiting.delete(waiter);
    waiter.call.whenAbandoned(undefined);
  }

  /** Schedules a sweep for this deadline. */
  private watch(deadline: number): void {
    if (this.alarm !== undefined && this.alarm.at <= deadline) return;
    clearTimeout(this.alarm?.timer);
    const left = Math.min(Math.max(0, deadline - this.now()), MAX_TIMER_MS);
    this.alarm = { at: deadline, timer: setTimeout(() => this.sweep(), left) };
    // The timer of a finished waiter must not keep the process alive.
    this.alarm.timer.unref();
  }

  private sweep(): void {
    this.alarm = undefined;
    const now = this.now();
    let next = Infinity;
    for (const waiter of this.waiting) {
      const { deadline } = waiter.call;
      if (deadline <= now) {
        this.remove(waiter);
        waiter.refuse(timedOut('while it waited in the queue'));
      } else next = Math.min(next, deadline);
    }
    if (next !== Infinity) this.watch(next);
  }
}
