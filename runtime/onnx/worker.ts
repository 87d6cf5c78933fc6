import { parentPort, workerData } from 'node:worker_threads';
import { runGraph } from './graph-worker';
import { mannersFrom, perform } from './large/understand';
import type { OnnxTask, SentModel } from './large/understand';
import type { MessagePort } from 'node:worker_threads';
import type { WorkerData } from './worker-source';

// What the threads of the ONNX server run: one understands large bodies and writes large answers,
// one task at a time; the others run a graph each.

function understand(port: MessagePort, sent: readonly SentModel[]): void {
  const models = new Map(sent.map((model) => [model.name, mannersFrom(model)]));
  port.on('message', async (task: OnnxTask) => {
    const { told, memory } = await perform(models, task);
    port.postMessage(told, memory);
  });
}

const data = workerData as WorkerData;
if (parentPort !== null) {
  if ('models' in data) understand(parentPort, data.models);
  else runGraph(parentPort, data);
}
