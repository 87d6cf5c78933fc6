import { ServeError } from './errors';

/** One request on its way: when its time is up, and whether its caller went away. */
export class Call {
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

/** Nobody reads the answer of an abandoned call; 499 is what proxies write in their logs. */
const abandoned = (): ServeError => new ServeError(499, 'the caller went away');

interface Waiter {
  readonly call: Call;
  readonly start: () => void;
  readonly refuse: (error: ServeError) => void;
  timer: NodeJS.Timeout | undefined;
}

/** Lets so many runs in at a time; the rest waits in order, up to a limit. */
export class Gate {
  private inside = 0;
  private readonly waiting = new Set<Waiter>();

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
  enter(call: Call): Promise<void> | undefined {
    const left = call.deadline - this.now();
    if (left <= 0) throw timedOut('before it could start');
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
    return this.wait(call, left);
  }

  leave(): void {
    const [next] = this.waiting;
    if (next === undefined) {
      this.inside -= 1;
      return;
    }
    this.remove(next);
    next.start();
  }

  private wait(call: Call, left: number): Promise<void> {
    return new Promise((start, refuse) => {
      const waiter: Waiter = { call, start, refuse, timer: undefined };
      const drop = (error: ServeError): void => {
        this.remove(waiter);
        refuse(error);
      };
      if (left < MAX_TIMER_MS) {
        waiter.timer = setTimeout(() => drop(timedOut('while it waited in the queue')), left);
      }
      call.whenAbandoned(() => drop(abandoned()));
      this.waiting.add(waiter);
    });
  }

  private remove(waiter: Waiter): void {
    this.waiting.delete(waiter);
    clearTimeout(waiter.timer);
    waiter.call.whenAbandoned(undefined);
  }
}

/** setTimeout fires at once beyond 31 bits. */
const MAX_TIMER_MS = 2 ** 31 - 1;
