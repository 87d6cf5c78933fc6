import { getHeapStatistics } from 'node:v8';
import { TaskThread } from '../../shared/taskthread';
import { ServeError } from '../errors';
import { workerSource } from '../worker-source';
import { errorFrom, sentModel } from './codec-tasks';
import type { ModelFacts } from '../model-facts';
import type { WorkerData } from '../worker-source';
import type { TaskReply, OnnxOutcomes, OnnxTask } from './codec-tasks';

const MIB = 1024 * 1024;
/** The default of `maxQueueDepth`: waiting bodies take memory. */
const MAX_WAITING = 256;

const tooMany = (): ServeError =>
  new ServeError(503, `${MAX_WAITING} large bodies and answers wait; try again`, {
    'retry-after': '1',
  });

const tooMuch = (): ServeError =>
  new ServeError(
    413,
    'to read the body, or to write the answer, takes more memory or time than the server has; ' +
      'send less at a time, or tensors as bytes (V2)',
  );

function outcomeOf(outcome: TaskReply['outcome']): unknown {
  if ('done' in outcome) return outcome.done;
  throw 'error' in outcome
    ? errorFrom(outcome.error)
    : new Error(`a large body or answer failed\n${outcome.fault}`);
}

/** Has large bodies read and large answers written in a thread, one after the other. */
export class CodecThread {
  private readonly thread: TaskThread<TaskReply['outcome']>;

  constructor(models: readonly ModelFacts[]) {
    const data: WorkerData = { models: models.map(sentModel) };
    this.thread = new TaskThread({
      source: workerSource,
      data,
      // As much as the process itself.
      limits: { maxOldGenerationSizeMb: Math.floor(getHeapStatistics().heap_size_limit / MIB) },
      outcomeOf,
      tooMuch,
      closed: () => new ServeError(503, 'the server ends'),
    });
  }

  /** @param memory goes to the thread, and is lost here */
  run<T extends OnnxTask>(task: T, memory: readonly ArrayBuffer[]): Promise<OnnxOutcomes[T['op']]> {
    if (this.thread.waiting >= MAX_WAITING) return Promise.reject(tooMany());
    return this.thread.run(() => ({ task, memory })) as Promise<OnnxOutcomes[T['op']]>;
  }

  /** Ends the thread; a later task starts it again. */
  close(): void {
    this.thread.close();
  }
}
