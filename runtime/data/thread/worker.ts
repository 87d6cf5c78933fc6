import { parentPort } from 'node:worker_threads';
import { Refusal } from '../transcode/refusal';
import type { ElementsTask } from '../grpc/elements-tasks';
import { performElements } from '../grpc/elements-tasks';
import type { LargeTask } from '../transcode/large-task';
import { serializeRefusal, LargeTaskRunner } from '../transcode/large-task';

// The worker thread that parses large bodies. It gets one task at a time.

const tasks = new LargeTaskRunner();

/** Buffers to transfer instead of copy: those that own their whole ArrayBuffer. */
function buffersIn(value: unknown, found: ArrayBuffer[] = []): ArrayBuffer[] {
  if (value instanceof Uint8Array) {
    const { buffer, byteLength } = value;
    if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) found.push(buffer);
  } else if (Array.isArray(value)) {
    for (const one of value) buffersIn(one, found);
  } else if (typeof value === 'object' && value !== null) {
    for (const one of Object.values(value)) buffersIn(one, found);
  }
  return found;
}

const isOfElements = (task: LargeTask | ElementsTask): task is ElementsTask =>
  task.op.startsWith('grpc ');

function perform(task: LargeTask | ElementsTask): object {
  try {
    return { done: isOfElements(task) ? performElements(task) : tasks.perform(task) };
  } catch (error) {
    if (error instanceof Refusal) return { refusal: serializeRefusal(error) };
    // Without the message, which may quote the body.
    return { fault: (error as Error).stack?.split('\n').slice(1, 6) ?? [] };
  }
}

parentPort?.on('message', (task: LargeTask | ElementsTask) => {
  const reply = perform(task);
  parentPort?.postMessage(reply, 'done' in reply ? buffersIn(reply.done) : []);
});
