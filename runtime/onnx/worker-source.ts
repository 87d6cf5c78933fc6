import { join } from 'node:path';
import { compiledSource } from '../shared/taskthread';
import type { SentModel } from './large/codec-tasks';
import type { SessionSpec } from './session';

/** The work of a thread: large bodies and responses, or one graph. */
export type WorkerData =
  | { readonly models: readonly SentModel[] }
  | {
      readonly spec: SessionSpec;
      /** Where its code finds ONNX Runtime. */
      readonly runtime: string;
    };

/** The bundle holds the threads' code as text. */
declare const ONNX_THREAD_SOURCE: string | undefined;

export const workerSource = (): string =>
  typeof ONNX_THREAD_SOURCE === 'string'
    ? ONNX_THREAD_SOURCE
    : compiledSource(join(__dirname, 'worker.ts'));
