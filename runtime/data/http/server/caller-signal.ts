import type { AbortSignalLike } from '../exchange';

const NO_LISTENERS: readonly (() => void)[] = [];

/** Tells that a caller has gone. Most requests end before it does, so it costs next to nothing. */
export class CallerSignal implements AbortSignalLike {
  aborted = false;
  /** Nearly always there is one at a time. */
  private first: (() => void) | undefined;
  private others: readonly (() => void)[] = NO_LISTENERS;

  addEventListener(_: 'abort', listener: () => void): void {
    if (this.first === undefined && this.others.length === 0) this.first = listener;
    else this.others = [...this.others, listener];
  }

  removeEventListener(_: 'abort', listener: () => void): void {
    if (this.first === listener) this.first = undefined;
    else if (this.others.length > 0) this.others = without(this.others, listener);
  }

  /** Every listener hears it, once, in the order they came. */
  abort(): void {
    if (this.aborted) return;
    this.aborted = true;
    const { first, others } = this;
    this.first = undefined;
    this.others = NO_LISTENERS;
    first?.();
    for (const listener of others) listener();
  }
}

/** One of them, if there are several. */
function without(all: readonly (() => void)[], one: () => void): readonly (() => void)[] {
  const at = all.indexOf(one);
  return at < 0 ? all : all.toSpliced(at, 1);
}
