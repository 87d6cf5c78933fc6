/** Something sent that has no first byte yet; a link of the list it stands in. */
export interface PendingAttempt {
  /** Milliseconds since the epoch. */
  readonly begun: number;
  earlier: PendingAttempt | undefined;
  later: PendingAttempt | undefined;
}

/**
 * What a replica has not answered yet, the oldest first. A list of links and no Map: a Map that
 * grows and shrinks with every request leaves its old tables behind, each holds what was in it and
 * the one after it, and the garbage collector carries them all along: a third of all time.
 */
export class PendingAttempts {
  private first: PendingAttempt | undefined;
  private last: PendingAttempt | undefined;

  /** When the oldest was sent. */
  get since(): number | undefined {
    return this.first?.begun;
  }

  add(sent: PendingAttempt): void {
    const { last } = this;
    sent.earlier = last;
    if (last === undefined) this.first = sent;
    else last.later = sent;
    this.last = sent;
  }

  /** Takes one out that is in it. */
  remove(sent: PendingAttempt): void {
    const { earlier, later } = sent;
    if (earlier === undefined) this.first = later;
    else earlier.later = later;
    if (later === undefined) this.last = earlier;
    else later.earlier = earlier;
    sent.earlier = undefined;
    sent.later = undefined;
  }
}
