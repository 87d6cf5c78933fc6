import { badRequest, ServeError } from './errors';
import { joinFeeds, joinKey, rowsOf, sameOutputs, splitOutputs } from './join';
import type { Metrics } from './metrics';
import type { Session } from './session';
import type { Tensors } from './tensor';

/** How requests share the model. */
export interface EngineOptions {
  /** Requests that may be inside at once, running or about to. */
  readonly maxConcurrency: number;
  /** Requests that may wait beyond them. */
  readonly maxQueueDepth: number;
  /** Join waiting requests of equal shape: at most so many, for at most so long. */
  readonly batching?: { readonly maxSize: number; readonly maxDelayMs: number } | undefined;
}

export interface RunOptions {
  /** When the answer is of no use any more, milliseconds of `performance.now`. */
  readonly deadline: number;
  /** Aborted when the caller goes away. */
  readonly signal: AbortSignal;
}

interface Work {
  readonly feeds: Tensors;
  readonly key: string | undefined;
  readonly rows: number;
  readonly since: number;
  readonly options: RunOptions;
  readonly resolve: (outputs: Tensors) => void;
  readonly reject: (error: unknown) => void;
}

export interface Engine {
  readonly session: Session;
  /** Runs one request, in turn. @throws ServeError 400, 503, 504 */
  readonly run: (feeds: Tensors, options: RunOptions) => Promise<Tensors>;
  /** Runs the rows of one request, joined where the graph allows it; a failure stays with its item. */
  readonly runAll: (
    items: readonly Tensors[],
    options: RunOptions,
  ) => Promise<readonly (Tensors | ServeError)[]>;
  readonly waiting: () => number;
}

/** Joined runs that are compared with single ones before the graph is believed. */
const CHECKED_JOINS = 3;

const RETRY_AFTER = { 'retry-after': '1' };

const gone = (): ServeError => new ServeError(499, 'the caller went away');

/** What the runtime says about feeds it does not like is about the request. */
function asServeError(error: unknown): ServeError {
  if (error instanceof ServeError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return badRequest(
    `the model does not take this input: ${message.replace(/\s+/g, ' ').slice(0, 500)}`,
  );
}

/** Can a graph's rows be joined, as far as its shapes tell? */
function looksBatchable({ graph }: Session): boolean {
  const ports = [...graph.inputs, ...graph.outputs];
  return graph.inputs.length > 0 && ports.every(({ shape }) => shape?.[0] === -1);
}

class ModelEngine implements Engine {
  private queue: Work[] = [];
  private inside = 0;
  private busy = false;
  private timer: NodeJS.Timeout | undefined;
  private batchable: boolean;
  private checksLeft = CHECKED_JOINS;
  private readonly outputs: readonly string[];

  constructor(
    readonly session: Session,
    private readonly options: EngineOptions,
    private readonly metrics: Metrics,
  ) {
    this.batchable = looksBatchable(session);
    this.outputs = session.graph.outputs.map(({ name }) => name);
  }

  waiting(): number {
    return this.queue.length;
  }

  async run(feeds: Tensors, options: RunOptions): Promise<Tensors> {
    const { maxConcurrency, maxQueueDepth } = this.options;
    if (this.inside >= maxConcurrency + maxQueueDepth) {
      throw new ServeError(503, `model ${this.session.name} is full; try again later`, RETRY_AFTER);
    }
    this.inside += 1;
    try {
      return await new Promise<Tensors>((resolve, reject) => {
        const joinable = this.options.batching !== undefined && this.batchable;
        const rows = joinable ? rowsOf(feeds) : undefined;
        const key = rows === undefined ? undefined : joinKey(feeds);
        const since = performance.now();
        const work: Work = { feeds, key, rows: rows ?? 1, since, options, resolve, reject };
        this.queue.push(work);
        this.leaveOnAbort(work);
        this.wake();
      });
    } finally {
      this.inside -= 1;
    }
  }

  async runAll(items: readonly Tensors[], options: RunOptions) {
    const results: (Tensors | ServeError)[] = [];
    const groups = new Map<string, number[]>();
    items.forEach((feeds, index) => {
      const joinable = this.batchable && rowsOf(feeds) !== undefined;
      const key = joinable ? joinKey(feeds) : `alone ${index}`;
      groups.set(key, [...(groups.get(key) ?? []), index]);
    });
    for (const indices of groups.values()) {
      const done = await this.runGroup(
        indices.map((index) => items[index] as Tensors),
        options,
      );
      indices.forEach((index, at) => (results[index] = done[at] as Tensors | ServeError));
    }
    return results;
  }

  private async runGroup(items: readonly Tensors[], options: RunOptions) {
    if (items.length > 1) {
      const joined = await this.run(joinFeeds(items), options).catch(() => undefined);
      const parts =
        joined &&
        splitOutputs(
          joined,
          items.map((one) => rowsOf(one) ?? 1),
        );
      if (parts === undefined) this.batchable &&= joined === undefined;
      else if (await this.isTrusted(items, parts, (one) => this.run(one, options))) return parts;
    }
    return Promise.all(items.map((one) => this.run(one, options).catch(asServeError)));
  }

  /** Shapes can lie: a graph may mix rows. The first joined runs are compared with single ones. */
  private async isTrusted(
    items: readonly Tensors[],
    parts: readonly Tensors[],
    run: (feeds: Tensors) => Promise<Tensors>,
  ): Promise<boolean> {
    if (this.checksLeft === 0) return true;
    for (const at of [0, 1]) {
      const alone = await run(items[at] as Tensors).catch(() => undefined);
      if (alone === undefined || !sameOutputs(parts[at] as Tensors, alone)) {
        this.batchable = false;
        return false;
      }
    }
    // Equal rows prove little: a mean over them is each of them.
    if (!sameOutputs(items[0] as Tensors, items[1] as Tensors)) this.checksLeft -= 1;
    return true;
  }

  private leaveOnAbort(work: Work): void {
    const { signal } = work.options;
    const leave = (): void => {
      const at = this.queue.indexOf(work);
      if (at < 0) return;
      this.queue.splice(at, 1);
      work.reject(gone());
    };
    if (signal.aborted) leave();
    else signal.addEventListener('abort', leave, { once: true });
  }

  private wake(): void {
    if (this.busy || this.queue.length === 0) return;
    const wait = this.waitMs();
    if (wait > 0) {
      this.timer ??= setTimeout(() => {
        this.timer = undefined;
        this.wake();
      }, wait);
      return;
    }
    clearTimeout(this.timer);
    this.timer = undefined;
    this.busy = true;
    void this.work().finally(() => {
      this.busy = false;
      this.wake();
    });
  }

  /** How long the first in the queue may still wait for company. */
  private waitMs(): number {
    const { batching } = this.options;
    const [first] = this.queue;
    if (batching === undefined || first?.key === undefined) return 0;
    const company = this.queue.filter(({ key }) => key === first.key);
    const rows = company.reduce((sum, one) => sum + one.rows, 0);
    if (rows >= batching.maxSize) return 0;
    return Math.max(0, first.since + batching.maxDelayMs - performance.now());
  }

  /** The next one, with those that may share its run. Too late ones are told so. */
  private take(): readonly Work[] {
    const now = performance.now();
    const late = this.queue.filter(({ options }) => options.deadline <= now);
    this.queue = this.queue.filter(({ options }) => options.deadline > now);
    for (const work of late) {
      work.reject(new ServeError(504, 'the time for this request was over before its turn'));
    }
    const first = this.queue.shift();
    if (first === undefined) return [];
    const { batching } = this.options;
    if (batching === undefined || first.key === undefined) return [first];
    const taken = [first];
    let rows = first.rows;
    this.queue = this.queue.filter((work) => {
      if (work.key !== first.key || rows + work.rows > batching.maxSize) return true;
      taken.push(work);
      rows += work.rows;
      return false;
    });
    return taken;
  }

  private async work(): Promise<void> {
    const taken = this.take();
    const [only] = taken;
    if (only === undefined) return;
    if (taken.length === 1) return this.runOne(only);
    const parts = await this.runJoined(taken);
    if (parts === undefined) for (const work of taken) await this.runOne(work);
    else taken.forEach((work, at) => work.resolve(parts[at] as Tensors));
  }

  private async runJoined(taken: readonly Work[]): Promise<readonly Tensors[] | undefined> {
    const items = taken.map(({ feeds }) => feeds);
    this.metrics.onRun(items.length);
    try {
      const outputs = await this.session.run(joinFeeds(items), this.outputs);
      const parts = splitOutputs(
        outputs,
        taken.map(({ rows }) => rows),
      );
      this.batchable &&= parts !== undefined;
      const alone = (feeds: Tensors) => this.session.run(feeds, this.outputs);
      return parts && (await this.isTrusted(items, parts, alone)) ? parts : undefined;
    } catch {
      // One of them spoiled it for all: each gets its own run and its own error.
      return undefined;
    }
  }

  private async runOne({ feeds, resolve, reject }: Work): Promise<void> {
    this.metrics.onRun(1);
    try {
      resolve(await this.session.run(feeds, this.outputs));
    } catch (error) {
      reject(asServeError(error));
    }
  }
}

export function createEngine(session: Session, options: EngineOptions, metrics: Metrics): Engine {
  const engine = new ModelEngine(session, options, metrics);
  return {
    session,
    run: (feeds, how) => engine.run(feeds, how),
    runAll: (items, how) => engine.runAll(items, how),
    waiting: () => engine.waiting(),
  };
}
