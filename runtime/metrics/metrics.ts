import { messageOf } from '../core/lifecycle/fault';
import type { Outcome } from '../core/routing/outcome';
import type { Snapshot } from '../core/lifecycle/snapshot';
import type { BatchedCallResult, ShadowResult } from './arm';
import { MODEL_FAMILIES, SERVICE_FAMILIES } from './families';
import type { BatchStatus, ModelCounts, ModelSamples } from './model';
import { createModelCounts, modelLines, syncArms, viewOf } from './model';
import type { Observation } from './observation';
import type { TextType } from './print';
import { sample } from '../shared/sample';
import { labelText, OPENMETRICS_TYPE, textTypeOf } from './print';
import type { ProcessText } from './process';
import type { EngineCounts } from './service';
import { NO_COUNTS, serviceLines } from './service';
import { headOf, inSlices } from './text';

/** The registry of the service. Only models of the last observation have series. */
export interface Metrics {
  /** One finished request. `traceId` (32 hex digits) becomes an exemplar. */
  readonly onOutcome: (outcome: Outcome, traceId?: string) => void;
  readonly onBatch: (model: string, status: BatchStatus) => void;
  readonly onShadow: (model: string, arm: string, result: ShadowResult) => void;
  readonly onJoined: (
    joined: BatchedCallResult & { readonly model: string; readonly arm: string },
  ) => void;
  readonly onDeployment: (action: string, status: 'success' | 'error') => void;
  /** Stores the current state and adds or removes models; a scrape computes the gauges from it. */
  readonly observe: (observation: Observation) => void;
  /**
   * The exposition, slice by slice, in the format `accept` asks for; see `textTypeOf`. `shows`:
   * these models.
   */
  readonly text: (accept?: string, shows?: (model: string) => boolean) => AsyncIterable<string>;
}

const NOTHING: Observation = {
  snapshot: { phase: 'empty', at: 0, models: new Map() },
  table: { generation: 0, models: new Map() },
  load: { arms: () => [], arm: () => undefined, rollouts: () => [], active: () => 0 },
  now: 0,
  promotions: new Map(),
  lagSeconds: 0,
  isLeader: false,
  peers: 0,
  views: [],
};

const keysOf = <T extends object>(families: T): (keyof T)[] => Object.keys(families) as (keyof T)[];

type Models = ReadonlyMap<string, ModelCounts>;

/** Isolates failures: a model whose work throws has no samples; the others have theirs. */
type ModelGuard = <T>(model: string, work: () => T) => T | undefined;

/** Logs each failure of a model once, and again only when its message changes. */
function modelGuardOf(tell: TellFault): ModelGuard {
  const told = new Map<string, string>();
  return (model, work) => {
    try {
      return work();
    } catch (error) {
      const message = messageOf(error);
      if (told.get(model) !== message) tell(model, message);
      told.set(model, message);
      return undefined;
    }
  };
}

/** Options of one scrape. */
interface Scrape {
  readonly shows: (model: string) => boolean;
  readonly fence: ModelGuard;
}

/** A view of each model that is shown; a chunk of work for each that is not, too. */
function* viewsOf(
  models: Models,
  { snapshot, table, load, promotions, now }: Observation,
  exemplars: boolean,
  { shows, fence }: Scrape,
): Generator<ModelSamples | undefined> {
  for (const [id, counts] of models) {
    const record = snapshot.models.get(id);
    const [route, promotion] = [table.models.get(id), promotions.get(id)];
    const view = (): ModelSamples | undefined =>
      record && viewOf(counts, record, { route, load, promotion, now, exemplars });
    yield shows(id) ? fence(id, view) : undefined;
  }
}

function deploymentLines(deployments: ReadonlyMap<string, number>): string {
  const { name } = SERVICE_FAMILIES.deployments;
  return [...deployments].map(([labels, count]) => sample(name, labels, count)).join('');
}

/** The exposition in pieces, each the samples of one family for one model. */
function* chunksOf(
  deployments: ReadonlyMap<string, number>,
  models: Models,
  seen: Observation & { readonly engine: EngineCounts },
  format: TextType,
  scrape: Scrape,
): Generator<string> {
  for (const key of keysOf(SERVICE_FAMILIES)) {
    yield headOf(SERVICE_FAMILIES[key], format);
    yield key === 'deployments' ? deploymentLines(deployments) : serviceLines(key, seen);
  }
  const views: ModelSamples[] = [];
  for (const view of viewsOf(models, seen, format === OPENMETRICS_TYPE, scrape)) {
    if (view !== undefined) views.push(view);
    yield '';
  }
  for (const key of keysOf(MODEL_FAMILIES)) {
    yield headOf(MODEL_FAMILIES[key], format);
    for (const view of views) {
      yield scrape.fence(view.record.spec.id, () => modelLines(key, view)) ?? '';
    }
  }
}

/** Follows the cluster: models and arms come and go, and their series with them. */
function sync(
  models: Map<string, ModelCounts>,
  before: Snapshot,
  now: Snapshot,
  fence: ModelGuard,
): void {
  for (const id of models.keys()) if (!now.models.has(id)) models.delete(id);
  for (const [id, record] of now.models) {
    // Snapshots share the records of models that did not change.
    if (before.models.get(id) === record && models.has(id)) continue;
    const counts = models.get(id) ?? createModelCounts(id);
    models.set(id, counts);
    fence(id, () => syncArms(counts, record));
  }
}

/** Called for a model whose samples cannot be computed. */
type TellFault = (model: string, message: string) => void;

const NO_PROCESS: ProcessText = async () => '';

/**
 * Counters of our own: counting a request costs 0.5 µs where handles of a metrics library cost 6,
 * and a scrape reads what it needs instead of having a thousand gauges written at every change.
 */
export function createMetrics(
  processText: ProcessText = NO_PROCESS,
  tellFault: TellFault = () => undefined,
  counts: () => EngineCounts = () => NO_COUNTS,
): Metrics {
  const fence = modelGuardOf(tellFault);
  const deployments = new Map<string, number>();
  const models = new Map<string, ModelCounts>();
  let seen = NOTHING;
  return {
    // Unknown names come from callers and must not become labels.
    onOutcome: (outcome, traceId) =>
      models.get(outcome.model)?.arms.get(outcome.arm)?.onOutcome(outcome, traceId),
    onBatch: (model, status) => models.get(model)?.batch.add(status),
    onShadow: (model, arm, result) => models.get(model)?.arms.get(arm)?.shadow.add(result),
    onJoined: (joined) => models.get(joined.model)?.arms.get(joined.arm)?.onJoined(joined),
    onDeployment: (action, status) => {
      const labels = labelText({ action, status });
      deployments.set(labels, (deployments.get(labels) ?? 0) + 1);
    },
    observe: (observation) => {
      sync(models, seen.snapshot, observation.snapshot, fence);
      seen = observation;
    },
    text: async function* (accept, shows = () => true) {
      const format = textTypeOf(accept);
      const all = { ...seen, engine: counts() };
      yield* inSlices(chunksOf(deployments, models, all, format, { shows, fence }));
      yield (await processText(format)) + (format === OPENMETRICS_TYPE ? '# EOF\n' : '');
    },
  };
}
