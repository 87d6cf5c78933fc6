import { badRequest, listed, ServeError } from './errors';
import { OnnxBatcher } from './batcher';
import { Executor } from './executor';
import { ConcurrencyLimiter } from './concurrency-limiter';
import { OnnxMetrics } from './metrics';
import { inputSettingsOf, padded } from './native';
import { unbatchableReason } from './batch-runner';
import { ModelCodec } from './large/model-codec';
import { CodecThread } from './large/codec-thread';
import type { Batching } from './batcher';
import type { RunResult } from './executor';
import type { RequestLifetime } from './concurrency-limiter';
import type { Model } from './model';
import type { Tensors } from './tensor';

/** A model with everything its calls need. */
export interface ServedModel {
  readonly model: Model;
  readonly executor: Executor;
  /** Reads its bodies and writes its answers. */
  readonly codec: ModelCodec;
  /** Names of all outputs. */
  readonly outputs: readonly string[];
  /** One request, batched with others' if that is wanted. */
  readonly run: (
    inputs: Tensors,
    outputs: readonly string[],
    call: RequestLifetime,
  ) => Promise<RunResult>;
}

export interface OnnxLimits {
  readonly maxConcurrency: number;
  readonly maxQueueDepth: number;
  readonly batching: Batching | undefined;
  /** The author states that each row's answer depends on that row alone. */
  readonly rowsIndependent: boolean;
}

/** Receives notices for the operator, one line each. */
export type OnNotice = (text: string) => void;

/** Everything that answers requests; the sockets are in serve.ts. */
export interface OnnxService {
  readonly models: ReadonlyMap<string, ServedModel>;
  readonly metrics: OnnxMetrics;
  readonly isDraining: () => boolean;
  /** The thread for large bodies and answers, which all models share. */
  readonly thread: CodecThread;
}

/** At start, reports why requested batching is off. */
function reportUnbatched(model: Model, limits: OnnxLimits, onNotice: OnNotice): void {
  const reason = unbatchableReason(model, limits.rowsIndependent);
  if (limits.batching === undefined || reason === undefined) return;
  const remedy = model.independence.isShown
    ? ''
    : `; if each row's answer depends on that row alone, say so: inference.batching.rows_independent, or --rows-independent`;
  onNotice(
    `model '${model.name}': its requests run one by one, not in batches: ${reason}${remedy}`,
  );
}

export function createOnnxService(
  models: readonly Model[],
  limits: OnnxLimits,
  isDraining: () => boolean,
  onNotice: OnNotice,
): OnnxService {
  const limiter = new ConcurrencyLimiter(limits.maxConcurrency, limits.maxQueueDepth);
  const batchers: OnnxBatcher[] = [];
  const thread = new CodecThread(models);
  const metrics = new OnnxMetrics({
    running: () => limiter.running,
    waiting: () => batchers.reduce((sum, batcher) => sum + batcher.waiting, limiter.queued),
    models,
    isJoined: (name) => batchRunners.get(name)?.isPossible === true,
  });
  const batchRunners = new Map<string, Executor['batchRunner']>();
  const servedOf = (model: Model): ServedModel => {
    const settings = inputSettingsOf(model);
    const executor = new Executor(model, limiter, (shared) => metrics.onRun(shared), {
      alike: (items) => padded(settings, items),
      isStated: limits.rowsIndependent,
      onCompared: () => metrics.onCompared(model.name, 'same'),
      onDifferent: (reason) => {
        metrics.onCompared(model.name, 'different');
        onNotice(`model '${model.name}': its requests run one by one from now on: ${reason}`);
      },
    });
    batchRunners.set(model.name, executor.batchRunner);
    reportUnbatched(model, limits, onNotice);
    const { batching, maxQueueDepth } = limits;
    const outputs = model.outputs.map(({ name }) => name);
    const codec = new ModelCodec(settings, thread);
    if (batching === undefined || !executor.batchRunner.isPossible) {
      const run: ServedModel['run'] = (inputs, wanted, call) => executor.run(inputs, wanted, call);
      return { model, executor, codec, outputs, run };
    }
    const batcher = new OnnxBatcher(executor, limiter, batching, maxQueueDepth);
    batchers.push(batcher);
    const run: ServedModel['run'] = (inputs, wanted, call) => batcher.run(inputs, wanted, call);
    return { model, executor, codec, outputs, run };
  };
  return {
    models: new Map(models.map((model) => [model.name, servedOf(model)])),
    metrics,
    isDraining,
    thread,
  };
}

/** Throws ServeError 404. */
export function findModel({ models }: OnnxService, name: string, version?: string): ServedModel {
  const served = models.get(name);
  if (served === undefined) {
    throw new ServeError(404, `unknown model '${name}'; loaded: ${listed([...models.keys()])}`);
  }
  const has = served.model.version;
  if (version === undefined || version === has) return served;
  throw new ServeError(404, `model '${name}' has no version '${version}'; it has '${has}'`);
}

/** The model a native call means: the only one needs no name. Throws ServeError 400 or 404. */
export function findNative(service: OnnxService, name: string | null): ServedModel {
  if (name !== null) return findModel(service, name);
  const [only] = service.models.values();
  if (only !== undefined && service.models.size === 1) return only;
  throw badRequest(
    `several models are loaded; choose one with ?model=: ${listed([...service.models.keys()])}`,
  );
}
