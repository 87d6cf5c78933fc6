import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import type * as Onnx from '../../runtime/onnx';
import type { CommandContext } from '../command-context';

interface Options {
  readonly model: readonly { readonly name: string; readonly path: string }[];
  readonly modelVersion: string;
  readonly host: string;
  readonly port: number;
  readonly threads?: number;
  readonly interOpThreads?: number;
  readonly maxConcurrency?: number;
  readonly maxQueueDepth?: number;
  readonly maxBodyBytes?: number;
  readonly maxBatchSize?: number;
  readonly maxDelayMs?: number;
  readonly rowsIndependent?: boolean;
  readonly timeoutMs?: number;
  readonly parentGuard?: boolean;
}

/** The service's own variable: the image sets it once, for `serve` and `serve-onnx`. */
const HOST_VARIABLE = 'AI_MODEL_SERVICE__SERVER__HOST';

/**
 * Without this variable ONNX Runtime reports to its vendor; the models of a clinic stay private.
 */
const NO_TELEMETRY = 'ORT_DISABLE_TELEMETRY';

/** Highest number of a TCP port. */
export const MAX_PORT = 65_535;

/** Parses a whole number within bounds, for option parsers. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`got "${text}", must be a whole number ${range}.`);
  };
}

function nameAndPath(text: string, before: Options['model'] = []): Options['model'] {
  const match = /^([^=]+)=(.+)$/.exec(text);
  if (match === null) {
    throw new InvalidArgumentError(`got "${text}", must be NAME=FILE, e.g. iris=./iris.onnx.`);
  }
  return [...before, { name: match[1] ?? '', path: match[2] ?? '' }];
}

export function addServeOnnx(program: Command, { io }: CommandContext): void {
  program
    .command('serve-onnx')
    .description('Serve local .onnx files: Open Inference Protocol V2, V1 predict and native.')
    .requiredOption('--model <name=file>', 'model to serve; may be repeated', nameAndPath)
    .option('--model-version <version>', 'version that answers carry', '1')
    .option('--host <address>', 'address to listen on', io.env[HOST_VARIABLE] ?? '127.0.0.1')
    .option('--port <port>', 'port; 0 lets the kernel choose', wholeNumber(0, MAX_PORT), 8080)
    .option('--threads <n>', 'threads within one operator', wholeNumber(1))
    .option('--inter-op-threads <n>', 'threads across operators', wholeNumber(1))
    .option('--max-concurrency <n>', 'requests that run at once', wholeNumber(1))
    .option('--max-queue-depth <n>', 'requests that may wait', wholeNumber(0))
    .option('--max-body-bytes <n>', 'largest request body', wholeNumber(1))
    .option('--max-batch-size <n>', 'join up to this many waiting requests', wholeNumber(1))
    .option('--max-delay-ms <n>', 'and wait this long for them', wholeNumber(0))
    .option('--rows-independent', "state that each row's answer depends on that row alone")
    .option('--timeout-ms <n>', 'longest time for one request', wholeNumber(1))
    .option('--parent-guard', 'end when standard input ends, so that no orphan stays behind')
    .addHelpText(
      'after',
      '\nExample:\n  ai-model-service serve-onnx --model iris=./iris.onnx --port 8080',
    )
    .action(async (options: Options) => {
      io.env[NO_TELEMETRY] ??= '1';
      const { runOnnxServer } = require('../../runtime/onnx') as typeof Onnx;
      await runOnnxServer({
        models: options.model.map((one) => ({ ...one, version: options.modelVersion })),
        host: options.host,
        port: options.port,
        intraOpThreads: options.threads,
        interOpThreads: options.interOpThreads,
        maxConcurrency: options.maxConcurrency,
        maxQueueDepth: options.maxQueueDepth,
        maxBodyBytes: options.maxBodyBytes,
        requestTimeoutMs: options.timeoutMs,
        rowsIndependent: options.rowsIndependent === true,
        ...(options.maxBatchSize !== undefined && {
          batching: { maxSize: options.maxBatchSize, maxDelayMs: options.maxDelayMs ?? 0 },
        }),
        parentGuard: options.parentGuard === true,
        out: io.out,
        process,
      });
    });
}
