import type { Signal } from '../exchange';

/** Tells that a caller has gone. Most requests end before it does, so it costs next to nothing. */
export class CallerSignal implements Signal {
  aborted = false;
  private listeners: (() => void)[] = [];

  addEventListener(_: 'abort', listener: () => void): void {
    this.listeners.push(listener);
  }

  removeEventListener(_: 'abort', listener: () => void): void {
    const at = this.listeners.indexOf(listener);
    if (at >= 0) this.listeners.splice(at, 1);
  }

  /** Every listener hears it, once. */
  abort(): void {
    if (this.aborted) return;
    this.aborted = true;
    const all = this.listeners;
    this.listeners = [];
    for (const listener of all) listener();
  }
}
