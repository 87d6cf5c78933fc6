/** Between the bytes that are sent ahead: first soon, then rarely; milliseconds. */
const PROBE_MS = [5, 20, 100, 400, 1600, 6400, 25_600, 102_400, 409_600];

/** An answer of which single bytes can be sent ahead. */
export interface Probeable {
  readonly probe: () => void;
}

/**
 * A caller that has ended its side may wait for its answer or be gone. Of one that is gone the
 * kernel tells when something is sent to it.
 */
export class CallerProbe {
  private timer: NodeJS.Timeout | undefined;
  private of: Probeable | undefined;

  /** Goes on until `stop`; the same one is begun once. */
  start(exchange: Probeable): void {
    if (this.of === exchange) return;
    this.stop();
    this.of = exchange;
    this.next(exchange, 0);
  }

  private next(exchange: Probeable, nth: number): void {
    const delay = PROBE_MS[nth];
    if (delay === undefined) return;
    this.timer = setTimeout(() => {
      this.next(exchange, nth + 1);
      exchange.probe();
    }, delay).unref();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.of = undefined;
  }
}
