import { availableParallelism } from 'node:os';
import { readFileSync } from 'node:fs';
import { UnservableModel } from './errors';
import type * as OnnxRuntime from 'onnxruntime-node';

export type Ort = typeof OnnxRuntime;

/**
 * Where the platform has Float16Array (Node 24), the package's JavaScript takes half floats as
 * that, and its native part then sees no elements. It looks once, at the first tensor: that one is
 * made while the type is out of sight, and half floats stay 16 bits in a Uint16Array everywhere.
 */
function withHalvesAsBits(ort: Ort): Ort {
  const half = Object.getOwnPropertyDescriptor(globalThis, 'Float16Array');
  if (half === undefined) return ort;
  delete (globalThis as { Float16Array?: unknown }).Float16Array;
  try {
    void new ort.Tensor('float32', [0], [1]);
  } finally {
    Object.defineProperty(globalThis, 'Float16Array', half);
  }
  return ort;
}

/**
 * ONNX Runtime, loaded at the first use: it is an optional package of 46 MB, and everything else
 * must start without it.
 */
export function loadOrt(): Ort {
  try {
    return withHalvesAsBits(require('onnxruntime-node') as Ort);
  } catch (error) {
    const cause = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new UnservableModel(
      `onnxruntime-node is needed to serve ONNX models and could not be loaded (${cause}); ` +
        'install it with: npm install onnxruntime-node',
      { cause: error },
    );
  }
}

/** CPUs this process may use: affinity, and the container's quota, which Node 20 ignores. */
export function cpusAvailable(quotaFile = '/sys/fs/cgroup/cpu.max'): number {
  const cpus = availableParallelism();
  try {
    const [quota, period] = readFileSync(quotaFile, 'utf8').trim().split(' ').map(Number);
    if (quota !== undefined && period !== undefined && quota > 0 && period > 0) {
      return Math.max(1, Math.min(cpus, Math.ceil(quota / period)));
    }
  } catch {
    // No cgroup v2 here: the affinity is all there is.
  }
  return cpus;
}

export interface Threads {
  readonly intraOpThreads: number;
  readonly interOpThreads: number;
}

/** Fatal only: what goes wrong in a run reaches the caller as an exception, with the same text. */
const LOG_FATAL = 4;

export function sessionOptions(
  threads: Threads,
  externalFolder: string | undefined,
): OnnxRuntime.InferenceSession.SessionOptions {
  const session: Record<string, unknown> = {
    // Threads that spin while idle would burn a core that is shared with other pods.
    intra_op: { allow_spinning: '0' },
    inter_op: { allow_spinning: '0' },
  };
  if (externalFolder !== undefined)
    session.model_external_initializers_file_folder_path = externalFolder;
  return {
    intraOpNumThreads: threads.intraOpThreads,
    interOpNumThreads: threads.interOpThreads,
    // Threads across operators are used in this mode only.
    executionMode: threads.interOpThreads > 1 ? 'parallel' : 'sequential',
    logSeverityLevel: LOG_FATAL,
    extra: { session },
  };
}
