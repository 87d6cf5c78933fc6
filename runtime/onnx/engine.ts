import { createSession, inlineEngine } from './session';
import { threadEngine } from './thread';
import type { Ort } from './ort';
import type { Engine, SessionSpec } from './session';
import { isCostly } from './tensor';
import type { Tensors } from './tensor';

/** A graph that holds the event loop longer than this moves to a thread. */
const SLOW_MS = 10;
/** Runs that must have been slow, so that one hiccup of the machine moves nothing. */
const SLOW_RUNS = 3;
/** One that holds it longer than this moves at once: probes and other callers wait meanwhile. */
const STALL_MS = 50;
/** Weight of the newest run in the mean. */
const NEWEST = 0.3;
/** A larger file starts in a thread: it will be slow, and must not be in memory twice. */
const LARGE_BYTES = 64 * 1024 * 1024;

/** Where the graph runs now. */
type Place =
  | { readonly kind: 'inline'; readonly engine: Engine }
  | { readonly kind: 'moving'; readonly engine: Engine }
  | { readonly kind: 'thread'; readonly engine: Engine };

/**
 * Starts a model in this thread, where small graphs are fastest, and moves it out when it is slow,
 * or when so much comes that it would be.
 */
export class AdaptiveEngine implements Engine {
  private readonly inside = new Set<Promise<unknown>>();
  private mean = 0;
  private runs = 0;
  private closed = false;
  private moved: Promise<void> = Promise.resolve();

  constructor(
    private place: Place,
    private readonly spec: SessionSpec,
    private readonly move: (spec: SessionSpec) => Promise<Engine> = threadEngine,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Does a run leave the event loop free? */
  get isInThread(): boolean {
    return this.place.kind === 'thread';
  }

  readonly run = async (inputs: Tensors, outputs: readonly string[]): Promise<Tensors> => {
    if (isCostly(inputs)) await this.apart();
    if (this.place.kind === 'thread') return this.place.engine.run(inputs, outputs);
    // Also while it moves: the first session may close only when the last run on it is over.
    return this.measured(inputs, outputs);
  };

  readonly close = async (): Promise<void> => {
    this.closed = true;
    // A thread that is cut off while it starts takes the process with it.
    await this.moved;
    await this.place.engine.close();
  };

  private async measured(inputs: Tensors, outputs: readonly string[]): Promise<Tensors> {
    const { engine } = this.place;
    const since = this.now();
    const run = engine.run(inputs, outputs);
    this.inside.add(run);
    // Earlier runs on the same thread go first.
    const others = this.inside.size;
    try {
      return await run;
    } finally {
      this.inside.delete(run);
      this.note((this.now() - since) / others);
    }
  }

  /** Moves the graph, unless that is done or under way; resolves when it has moved or cannot. */
  private apart(): Promise<void> {
    if (this.place.kind === 'inline') this.moved = this.moveOut(this.place.engine);
    return this.moved;
  }

  private note(milliseconds: number): void {
    this.runs += 1;
    this.mean = this.runs === 1 ? milliseconds : this.mean + NEWEST * (milliseconds - this.mean);
    const isSlow = this.runs >= SLOW_RUNS && this.mean > SLOW_MS;
    if (isSlow || milliseconds > STALL_MS) void this.apart();
  }

  private async moveOut(inline: Engine): Promise<void> {
    this.place = { kind: 'moving', engine: inline };
    let engine: Engine;
    try {
      engine = await this.move(this.spec);
    } catch {
      // Without a second session, perhaps for lack of memory, the first one continues.
      return;
    }
    if (this.closed) return engine.close();
    this.place = { kind: 'thread', engine };
    await Promise.allSettled(this.inside);
    await inline.close();
  }
}

/** Makes the session of a model where it will run best. */
export async function startEngine(
  ort: Ort,
  spec: SessionSpec,
  bytes: number,
): Promise<AdaptiveEngine> {
  if (bytes > LARGE_BYTES) {
    return new AdaptiveEngine({ kind: 'thread', engine: await threadEngine(spec) }, spec);
  }
  const session = await createSession(ort, spec);
  return new AdaptiveEngine({ kind: 'inline', engine: inlineEngine(ort, session) }, spec);
}
