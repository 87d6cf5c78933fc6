import { parentPort, workerData } from 'node:worker_threads';
import { mannersFrom, perform } from './understand';
import type { OnnxTask, SentModel } from './understand';

// The thread in which the ONNX server understands large bodies and writes large answers. It gets one
// task at a time.

const models = new Map(
  (workerData as readonly SentModel[]).map((sent) => [sent.name, mannersFrom(sent)]),
);

parentPort?.on('message', async (task: OnnxTask) => {
  const { told, memory } = await perform(models, task);
  parentPort?.postMessage(told, memory);
});
