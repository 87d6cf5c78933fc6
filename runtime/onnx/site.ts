import { badRequest, listed, ServeError } from './errors';
import { Batcher } from './batcher';
import { Executor } from './executor';
import { Gate } from './gate';
import { Metrics } from './metrics';
import { mannersOf } from './native';
import type { Batching } from './batcher';
import type { Ran } from './executor';
import type { Call } from './gate';
import type { Model } from './model';
import type { Manners } from './native';
import type { Tensors } from './tensor';

/** A model with everything its calls need. */
export interface Served {
  readonly model: Model;
  readonly manners: Manners;
  readonly executor: Executor;
  /** Names of all outputs. */
  readonly outputs: readonly string[];
  /** One request, batched with others' if that is wanted. */
  readonly run: (inputs: Tensors, outputs: readonly string[], call: Call) => Promise<Ran>;
}

export interface Limits {
  readonly maxConcurrency: number;
  readonly maxQueueDepth: number;
  readonly batching: Batching | undefined;
}

/** Everything that answers requests; the sockets are in serve.ts. */
export interface Site {
  readonly models: ReadonlyMap<string, Served>;
  readonly metrics: Metrics;
  readonly isDraining: () => boolean;
}

export function siteOf(models: readonly Model[], limits: Limits, isDraining: () => boolean): Site {
  const gate = new Gate(limits.maxConcurrency, limits.maxQueueDepth);
  const batchers: Batcher[] = [];
  const metrics = new Metrics({
    running: () => gate.running,
    waiting: () => batchers.reduce((sum, batcher) => sum + batcher.waiting, gate.queued),
    models,
  });
  const servedOf = (model: Model): Served => {
    const executor = new Executor(model, gate, (shared) => metrics.onRun(shared));
    const { batching, maxQueueDepth } = limits;
    const outputs = model.outputs.map(({ name }) => name);
    const manners = mannersOf(model);
    if (batching === undefined || !executor.joiner.possible) {
      const run: Served['run'] = (inputs, wanted, call) => executor.run(inputs, wanted, call);
      return { model, manners, executor, outputs, run };
    }
    const batcher = new Batcher(executor, gate, batching, maxQueueDepth);
    batchers.push(batcher);
    const run: Served['run'] = (inputs, wanted, call) => batcher.run(inputs, wanted, call);
    return { model, manners, executor, outputs, run };
  };
  return {
    models: new Map(models.map((model) => [model.name, servedOf(model)])),
    metrics,
    isDraining,
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
