import type { Inference } from './inference';
import type { ServerOf } from './serverkinds';

/** Paths, ports and threads of one process of the built-in ONNX server. */
export interface OnnxPlace {
  readonly id: string;
  readonly version: string;
  /** Path of the artifact. */
  readonly file: string;
  readonly host: string;
  /** 0 lets the kernel choose. */
  readonly port: number;
  /** Threads within one operator, unless the definition sets them. */
  readonly threads: number;
}

/** Arguments of `serve-onnx` for a definition: the same in a pod and on a laptop. */
export function onnxArguments(
  { id, version, file, host, port, threads }: OnnxPlace,
  server: ServerOf<'onnx'>,
  inference: Inference,
): readonly string[] {
  const { batching } = inference;
  const flags: Readonly<Record<string, string | number | undefined>> = {
    model: `${id}=${file}`,
    'model-version': version,
    host,
    port,
    threads: server.intraOpThreads ?? threads,
    'inter-op-threads': server.interOpThreads,
    'max-concurrency': inference.maxConcurrency,
    'max-queue-depth': inference.maxQueueDepth,
    'max-body-bytes': inference.maxBodyBytes,
    'max-batch-size': batching?.maxSize,
    'max-delay-ms': batching?.maxDelayMs,
    'timeout-ms': inference.timeoutSeconds * 1000,
  };
  const given = Object.entries(flags).filter(([, value]) => value !== undefined);
  const stated = batching?.rowsIndependent === true ? ['--rows-independent'] : [];
  return ['serve-onnx', ...given.map(([name, value]) => `--${name}=${value}`), ...stated];
}
