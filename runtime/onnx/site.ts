import { badRequest, listed, ServeError } from './errors';
import { Batcher } from './batcher';
import { Executor } from './executor';
import { Gate } from './gate';
import { Metrics } from './metrics';
import { mannersOf, padded } from './native';
import { apartBecause } from './trust';
import { Words } from './large/words';
import { Understander } from './large/understander';
import type { Batching } from './batcher';
import type { Ran } from './executor';
import type { Call } from './gate';
import type { Model } from './model';
import type { Tensors } from './tensor';

/** A model with everything its calls need. */
export interface Served {
  readonly model: Model;
  readonly executor: Executor;
  /** Reads its bodies and writes its answers. */
  readonly words: Words;
  /** Names of all outputs. */
  readonly outputs: readonly string[];
  /** One request, batched with others' if that is wanted. */
  readonly run: (inputs: Tensors, outputs: readonly string[], call: Call) => Promise<Ran>;
}

export interface Limits {
  readonly maxConcurrency: number;
  readonly maxQueueDepth: number;
  readonly batching: Batching | undefined;
  /** The author says that each row's answer depends on that row alone. */
  readonly rowsIndependent: boolean;
}

/** Told in a line of text what an operator of the server should know. */
export type OnNotice = (text: string) => void;

/** Everything that answers requests; the sockets are in serve.ts. */
export interface Site {
  readonly models: ReadonlyMap<string, Served>;
  readonly metrics: Metrics;
  readonly isDraining: () => boolean;
  /** The thread for large bodies and answers, which all models share. */
  readonly thread: Understander;
}

/** Batching that is asked for and not done has a reason that is told at start. */
function tellApart(model: Model, limits: Limits, onNotice: OnNotice): void {
  const reason = apartBecause(model, limits.rowsIndependent);
  if (limits.batching === undefined || reason === undefined) return;
  const remedy = model.independence.isShown
    ? ''
    : `; if each row's answer depends on that row alone, say so: inference.batching.rows_independent, or --rows-independent`;
  onNotice(
    `model '${model.name}': its requests run one by one, not in batches: ${reason}${remedy}`,
  );
}

export function siteOf(
  models: readonly Model[],
  limits: Limits,
  isDraining: () => boolean,
  onNotice: OnNotice,
): Site {
  const gate = new Gate(limits.maxConcurrency, limits.maxQueueDepth);
  const batchers: Batcher[] = [];
  const thread = new Understander(models);
  const metrics = new Metrics({
    running: () => gate.running,
    waiting: () => batchers.reduce((sum, batcher) => sum + batcher.waiting, gate.queued),
    models,
    isJoined: (name) => joiners.get(name)?.possible === true,
  });
  const joiners = new Map<string, Executor['joiner']>();
  const servedOf = (model: Model): Served => {
    const manners = mannersOf(model);
    const executor = new Executor(model, gate, (shared) => metrics.onRun(shared), {
      alike: (items) => padded(manners, items),
      isStated: limits.rowsIndependent,
      onCompared: () => metrics.onCompared(model.name, 'same'),
      onDifferent: (reason) => {
        metrics.onCompared(model.name, 'different');
        onNotice(`model '${model.name}': its requests run one by one from now on: ${reason}`);
      },
    });
    joiners.set(model.name, executor.joiner);
    tellApart(model, limits, onNotice);
    const { batching, maxQueueDepth } = limits;
    const outputs = model.outputs.map(({ name }) => name);
    const words = new Words(manners, thread);
    if (batching === undefined || !executor.joiner.possible) {
      const run: Served['run'] = (inputs, wanted, call) => executor.run(inputs, wanted, call);
      return { model, executor, words, outputs, run };
    }
    const batcher = new Batcher(executor, gate, batching, maxQueueDepth);
    batchers.push(batcher);
    const run: Served['run'] = (inputs, wanted, call) => batcher.run(inputs, wanted, call);
    return { model, executor, words, outputs, run };
  };
  return {
    models: new Map(models.map((model) => [model.name, servedOf(model)])),
    metrics,
    isDraining,
    thread,
  };
}

/** Throws ServeError 404. */
export function findModel({ models }: Site, name: string, version?: string): Served {
  const served = models.get(name);
  if (served === undefined) {
    throw new ServeError(
      404,
      `there is no model '${name}'; there is ${listed([...models.keys()])}`,
    );
  }
  const has = served.model.version;
  if (version === undefined || version === has) return served;
  throw new ServeError(404, `model '${name}' has no version '${version}'; it has '${has}'`);
}

/** The model a native call means: the only one needs no name. Throws ServeError 400 or 404. */
export function findNative(site: Site, name: string | null): Served {
  if (name !== null) return findModel(site, name);
  const [only] = site.models.values();
  if (only !== undefined && site.models.size === 1) return only;
  throw badRequest(
    `several models are loaded; say which with ?model=: ${listed([...site.models.keys()])}`,
  );
}
