/** A sent attempt without a first byte yet; also a node of the linked list below. */
export interface PendingAttempt {
  /** Milliseconds since the epoch. */
  readonly sentAt: number;
  earlier: PendingAttempt | undefined;
  later: PendingAttempt | undefined;
}

/**
 * Attempts a replica has not answered yet, oldest first. A linked list, not a Map: a Map that grows
 * and shrinks with every request leaves a chain of old tables that keep their entries alive, and
 * garbage collection then took a third of the CPU time.
 */
export class PendingAttempts {
  private first: PendingAttempt | undefined;
  private last: PendingAttempt | undefined;

  /** When the oldest was sent; milliseconds since the epoch. */
  get since(): number | undefined {
    return this.first?.sentAt;
  }

  add(attempt: PendingAttempt): void {
    const { last } = this;
    attempt.earlier = last;
    if (last === undefined) this.first = attempt;
    else last.later = attempt;
    this.last = attempt;
  }

  /** Removes an attempt that is in the list. */
  remove(attempt: PendingAttempt): void {
    const { earlier, later } = attempt;
    if (earlier === undefined) this.first = later;
    else earlier.later = later;
    if (later === undefined) this.last = earlier;
    else later.earlier = earlier;
    attempt.earlier = undefined;
    attempt.later = undefined;
  }
}
