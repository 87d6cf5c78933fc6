import { setImmediate as nextTurn } from 'node:timers/promises';
import { ServeError } from './errors';
import { MAX_TIMER_MS, timedOut } from './concurrency-limiter';
import { joinKey } from './join';
import { portionsOf } from './tensor';
import { BatchRunner } from './batch-runner';
import type { BatchRunnerOptions } from './batch-runner';
import type { RequestLifetime, ConcurrencyLimiter } from './concurrency-limiter';
import type { Model } from './model';
import type { Tensors } from './tensor';

/** A finished run. */
export interface RunResult {
  readonly outputs: Tensors;
  /** Requests that shared the run. */
  readonly shared: number;
}

/** Told of every run of a graph: how many requests shared it. */
export type OnRun = (shared: number) => void;

export interface ExecutorOptions extends BatchRunnerOptions {
  /** Gives items the same shapes where it can, so that they share a run. */
  readonly alike?: (items: readonly Tensors[]) => readonly Tensors[];
}

/** Runs one model: by the limiter, in the caller's time. */
export class Executor {
  readonly batchRunner: BatchRunner;

  constructor(
    readonly model: Model,
    private readonly limiter: ConcurrencyLimiter,
    private readonly onRun: OnRun,
    private readonly options: ExecutorOptions = {},
  ) {
    this.batchRunner = new BatchRunner(model, options);
  }

  async run(
    inputs: Tensors,
    outputs: readonly string[],
    call: RequestLifetime,
  ): Promise<RunResult> {
    const turn = this.limiter.acquire(call);
    if (turn !== undefined) await turn;
    this.onRun(1);
    // A run cannot be stopped: its slot is given back when it ends, however long its caller waits.
    const run = this.model.run(inputs, outputs).finally(() => this.limiter.release());
    const tensors = this.model.isInThread() ? await inTime(run, call) : await run;
    return { outputs: tensors, shared: 1 };
  }

  /**
   * Runs several items, many of them together where the graph allows it. The answers are in the
   * order of the items; one that fails has its error in its place and does not touch the others.
   */
  async runAll(
    items: readonly Tensors[],
    outputs: readonly string[],
    call: RequestLifetime,
  ): Promise<(Tensors | ServeError)[]> {
    const turn = this.limiter.acquire(call);
    if (turn !== undefined) await turn;
    const all = this.runPortions(items, outputs, call).finally(() => this.limiter.release());
    return this.model.isInThread() ? inTime(all, call) : all;
  }

  /** Portion by portion, so that thousands of rows do not hold the event loop. */
  private async runPortions(
    items: readonly Tensors[],
    outputs: readonly string[],
    call: RequestLifetime,
  ): Promise<(Tensors | ServeError)[]> {
    const { alike = (portion) => portion } = this.options;
    const answers: (Tensors | ServeError)[] = [];
    for (const portion of portionsOf(items)) {
      if (answers.length > 0) await nextTurn();
      answers.push(...(await this.runGroups(alike(portion), outputs, call)));
    }
    return answers;
  }

  private async runGroups(
    items: readonly Tensors[],
    outputs: readonly string[],
    call: RequestLifetime,
  ): Promise<(Tensors | ServeError)[]> {
    const answers = Array<Tensors | ServeError>(items.length);
    for (const indexes of this.groups(items)) {
      const group = indexes.map((index) => items[index] as Tensors);
      const results = await this.runGroup(group, outputs, call);
      for (const [at, index] of indexes.entries()) answers[index] = results[at] as Tensors;
    }
    return answers;
  }

  /** Indexes of items that can share a run. */
  private groups(items: readonly Tensors[]): readonly (readonly number[])[] {
    if (!this.batchRunner.isPossible) return items.map((_, index) => [index]);
    const groups = new Map<string, number[]>();
    for (const [index, item] of items.entries()) {
      const key = joinKey(item);
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [index]);
      else group.push(index);
    }
    return [...groups.values()];
  }

  /** With a slot already taken. Never rejects for what is wrong with an item. */
  async runGroup(
    items: readonly Tensors[],
    outputs: readonly string[],
    call: RequestLifetime,
  ): Promise<readonly (Tensors | ServeError)[]> {
    if (items.length > 1 && !isOver(call)) {
      const parts = await this.batchRunner.run(items, outputs);
      if (parts !== undefined) {
        this.onRun(items.length);
        return parts;
      }
    }
    const answers: (Tensors | ServeError)[] = [];
    for (const item of items) answers.push(await this.runOne(item, outputs, call));
    return answers;
  }

  private async runOne(
    inputs: Tensors,
    outputs: readonly string[],
    call: RequestLifetime,
  ): Promise<Tensors | ServeError> {
    if (isOver(call)) return timedOut('before this item could start');
    try {
      this.onRun(1);
      return await this.model.run(inputs, outputs);
    } catch (error) {
      if (error instanceof ServeError) return error;
      throw error;
    }
  }
}

const isOver = (call: RequestLifetime): boolean =>
  call.abandoned || performance.now() >= call.deadline;

/** The result, or 504 at the call's deadline, whichever is first. */
function inTime<Result>(result: Promise<Result>, call: RequestLifetime): Promise<Result> {
  return new Promise((resolve, reject) => {
    const left = Math.min(call.deadline - performance.now(), MAX_TIMER_MS);
    const timer = setTimeout(() => reject(timedOut('while the model computed')), left);
    result.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
