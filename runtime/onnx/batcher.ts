import { ServeError } from './errors';
import { RequestLifetime, timedOut } from './concurrency-limiter';
import { joinKey, rowsOf } from './join';
import type { Executor, RunResult } from './executor';
import type { ConcurrencyLimiter } from './concurrency-limiter';
import { isCostly } from './tensor';
import type { Tensors } from './tensor';

export interface Batching {
  /** Rows of one run. */
  readonly maxSize: number;
  /** Milliseconds the first request of a batch waits for others. */
  readonly maxDelayMs: number;
}

interface Member {
  readonly inputs: Tensors;
  readonly rows: number;
  readonly call: RequestLifetime;
  readonly resolve: (ran: RunResult) => void;
  readonly reject: (error: unknown) => void;
  settled: boolean;
}

interface Batch {
  readonly outputs: readonly string[];
  readonly members: Member[];
  rows: number;
  flushed: boolean;
}

/** Collects requests of other callers with the same shapes and runs them together. Opt in. */
export class OnnxBatcher {
  private readonly open = new Map<string, Batch>();
  private held = 0;

  constructor(
    private readonly executor: Executor,
    private readonly limiter: ConcurrencyLimiter,
    private readonly batching: Batching,
    /** Requests that may wait, in open batches and behind the limiter. */
    private readonly maxWaiting: number,
  ) {}

  get waiting(): number {
    return this.held;
  }

  /** Rejects with 503 when too many wait, 504 when the call's time is up first. */
  run(inputs: Tensors, outputs: readonly string[], call: RequestLifetime): Promise<RunResult> {
    if (call.deadline <= performance.now()) throw timedOut('before it could start');
    const rows = rowsOf(inputs);
    const { batchRunner } = this.executor;
    const isAlone = rows === undefined || rows >= this.batching.maxSize || isCostly(inputs);
    if (isAlone || !batchRunner.isPossible) return this.executor.run(inputs, outputs, call);
    if (this.held >= this.maxWaiting + this.batching.maxSize) {
      throw new ServeError(503, `the queue is full: ${this.held} requests wait; try again`, {
        'retry-after': '1',
      });
    }
    return this.join(inputs, rows, outputs, call);
  }

  private join(
    inputs: Tensors,
    rows: number,
    outputs: readonly string[],
    call: RequestLifetime,
  ): Promise<RunResult> {
    return new Promise((resolve, reject) => {
      const member: Member = { inputs, rows, call, resolve, reject, settled: false };
      this.held += 1;
      call.whenAbandoned(() => this.settle(member, () => reject(new ServeError(499, 'gone'))));
      const key = `${joinKey(inputs)}\n${outputs.join('\n')}`;
      let batch = this.open.get(key);
      if (batch !== undefined && batch.rows + rows > this.batching.maxSize) {
        this.flush(key, batch);
        batch = undefined;
      }
      batch ??= this.begin(key, outputs);
      batch.members.push(member);
      batch.rows += rows;
      if (batch.rows >= this.batching.maxSize) this.flush(key, batch);
    });
  }

  private begin(key: string, outputs: readonly string[]): Batch {
    const batch: Batch = { outputs, members: [], rows: 0, flushed: false };
    const flush = (): void => this.flush(key, batch);
    const { maxDelayMs } = this.batching;
    // Without a delay, requests that were read in the same turn of the event loop are still joined.
    if (maxDelayMs === 0) setImmediate(flush);
    else setTimeout(flush, maxDelayMs);
    this.open.set(key, batch);
    return batch;
  }

  private flush(key: string, batch: Batch): void {
    if (batch.flushed) return;
    batch.flushed = true;
    this.open.delete(key);
    void this.runBatch(batch).catch((error: unknown) => {
      for (const member of batch.members) this.settle(member, () => member.reject(error));
    });
  }

  private settle(member: Member, how: () => void): void {
    if (member.settled) return;
    member.settled = true;
    member.call.whenAbandoned(undefined);
    this.held -= 1;
    how();
  }

  private async runBatch({ members, outputs }: Batch): Promise<void> {
    // Wait for the latest deadline; `watch` refuses members whose own deadline passes earlier.
    const deadlines = members.map(({ call }) => call.deadline);
    const call = new RequestLifetime(Math.max(...deadlines));
    const turn = this.limiter.acquire(call);
    if (turn !== undefined) {
      const timer = this.watch(members);
      await turn.finally(() => clearInterval(timer));
    }
    try {
      const left = members.filter((member) => !member.settled);
      const items = left.map((member) => member.inputs);
      const results = await this.executor.runGroup(items, outputs, call);
      for (const [index, member] of left.entries()) {
        const result = results[index] as Tensors | ServeError;
        this.settle(member, () =>
          result instanceof ServeError
            ? member.reject(result)
            : member.resolve({ outputs: result, shared: left.length }),
        );
      }
    } finally {
      this.limiter.release();
    }
  }

  private watch(members: readonly Member[]): NodeJS.Timeout {
    return setInterval(() => {
      const now = performance.now();
      for (const member of members) {
        if (member.call.deadline > now) continue;
        this.settle(member, () => member.reject(timedOut('while it waited in the queue')));
      }
    }, WATCH_MS);
  }
}

/** How late a member of a waiting batch may learn that its time is up. */
const WATCH_MS = 20;
