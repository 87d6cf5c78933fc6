/** Where the virtual clock starts. */
export const EPOCH = 1_700_000_000_000;

interface Event {
  readonly at: number;
  readonly number: number;
  readonly call: () => void;
  cancelled: boolean;
}

const before = (a: Event, b: Event): boolean =>
  a.at < b.at || (a.at === b.at && a.number < b.number);

/** All promises that can go on have gone on. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Nothing happens between events, and everything that follows from one happens before the next. */
export class VirtualTime {
  now = EPOCH;
  #asked = 0;
  /** A binary heap: each event is before the two at twice its place. */
  readonly #events: Event[] = [];

  /** Calls after `ms` milliseconds; equal times in the order they were asked for. */
  readonly after = (call: () => void, ms: number): (() => void) => {
    this.#asked += 1;
    const event = { at: this.now + Math.max(0, ms), number: this.#asked, call, cancelled: false };
    this.#push(event);
    return () => {
      event.cancelled = true;
    };
  };

  /** Runs all events of the next `ms` milliseconds. */
  async run(ms: number): Promise<void> {
    const end = this.now + ms;
    await settled();
    for (;;) {
      const [next] = this.#events;
      if (next === undefined || next.at > end) break;
      this.#pop();
      if (next.cancelled) continue;
      this.now = next.at;
      next.call();
      await settled();
    }
    this.now = end;
  }

  /** The same for what is made of callbacks alone: no promise goes on meanwhile. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const [next] = this.#events;
      if (next === undefined || next.at > end) break;
      this.#pop();
      if (next.cancelled) continue;
      this.now = next.at;
      next.call();
    }
    this.now = end;
  }

  /** Timers that still would fire. */
  pending(): number {
    return this.#events.filter(({ cancelled }) => !cancelled).length;
  }

  #push(event: Event): void {
    const heap = this.#events;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up];
      if (parent === undefined || !before(event, parent)) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#events;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const [a, b] = [heap[left], heap[left + 1]];
      if (a === undefined) break;
      const down = b !== undefined && before(b, a) ? left + 1 : left;
      const child = heap[down];
      if (child === undefined || !before(child, last)) break;
      heap[at] = child;
      at = down;
    }
    heap[at] = last;
  }
}
