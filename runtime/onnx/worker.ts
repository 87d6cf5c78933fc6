import { parentPort, workerData } from 'node:worker_threads';
import { runGraph } from './graph-worker';
import { inputSettingsFrom, perform } from './large/codec-tasks';
import type { OnnxTask, SentModel } from './large/codec-tasks';
import type { MessagePort } from 'node:worker_threads';
import type { WorkerData } from './worker-source';

// The threads of the ONNX server: one reads large bodies and writes large responses,
// one task at a time; the others run a graph each.

function runCodec(port: MessagePort, sent: readonly SentModel[]): void {
  const models = new Map(sent.map((model) => [model.name, inputSettingsFrom(model)]));
  port.on('message', async (task: OnnxTask) => {
    const { outcome, memory } = await perform(models, task);
    port.postMessage(outcome, memory);
  });
}

const data = workerData as WorkerData;
if (parentPort !== null) {
  if ('models' in data) runCodec(parentPort, data.models);
  else runGraph(parentPort, data);
}
