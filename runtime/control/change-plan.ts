import type { FileContent, ModelSpec } from '../../lib/spec';
import { DefinitionError, withFiles } from '../../lib/spec';
import { objectsOf } from '../../lib/objects';
import type { PlanModel } from '../../lib/plan/plan';
import { planOf } from '../../lib/plan/plan';
import type { Plan } from '../../lib/plan/schema';
import { ClusterError } from '../cluster/port';
import type { ControlContext } from './context';

type PlanContext = Pick<ControlContext, 'routingView' | 'environment' | 'version' | 'clock'>;

/** Stands for a file that is known only where its definition stands; on both sides the same. */
const unknownFile = (uri: string): FileContent => ({
  name: uri.split('/').at(-1) ?? uri,
  bytes: new Uint8Array(),
  sha256: '',
});

/** A definition with the files of another one, where both name the same. */
function withKnownFiles(spec: ModelSpec, from: ModelSpec | undefined): ModelSpec {
  const known = new Map(from?.arms.map(({ source }) => [source?.uri, source?.content]));
  return withFiles(spec, (uri) => known.get(uri) ?? unknownFile(uri));
}

/** The running model. Its objects may have become impossible to render in this environment. */
function runningModel(spec: ModelSpec, { environment }: PlanContext): PlanModel {
  try {
    return { spec, objects: objectsOf(spec, environment) };
  } catch (error) {
    if (!(error instanceof DefinitionError)) throw error;
    return { spec, objects: [] };
  }
}

/**
 * What a change of one model would mean, compared with the definitions that the service knows.
 * @param spec undefined: the model goes
 * @throws DefinitionError when the objects of the new definition cannot be made
 */
export function changePlan(context: PlanContext, id: string, spec: ModelSpec | undefined): Plan {
  const { routingView, environment, version, clock } = context;
  const records = routingView.snapshot().models;
  const others = new Map<string, PlanModel>();
  for (const [other, record] of records) others.set(other, { spec: record.spec });
  const before = new Map(others);
  const after = new Map(others);
  const running = records.get(id)?.spec;
  const next = spec && withKnownFiles(spec, spec);
  if (running !== undefined) {
    before.set(id, runningModel(withKnownFiles(running, next), context));
  }
  if (next === undefined) after.delete(id);
  else after.set(id, { spec: next });
  const side = { environment, shared: [] };
  return planOf({
    environments: [
      {
        name: environment.name,
        before: { ...side, models: before },
        after: { ...side, models: after },
      },
    ],
    base: 'the running definitions',
    library: version,
    today: new Date(clock.now()).toISOString().slice(0, 10),
  });
}

/** The plan, or nothing where the objects cannot be made: a refusal must stay what it is. */
function tryPlan(context: PlanContext, id: string, spec: ModelSpec | undefined): Plan | undefined {
  try {
    return changePlan(context, id, spec);
  } catch (error) {
    if (error instanceof DefinitionError) return undefined;
    throw error;
  }
}

/** A change; when another manager writes the model, the refusal has the plan of the change. */
export async function withRefusedPlan<T>(
  context: PlanContext,
  { id, spec }: { readonly id: string; readonly spec: ModelSpec | undefined },
  change: Promise<T>,
): Promise<T> {
  try {
    return await change;
  } catch (error) {
    if (!(error instanceof ClusterError) || error.code !== 'READ_ONLY') throw error;
    const { code, message, details } = error;
    throw new ClusterError(code, message, details, tryPlan(context, id, spec));
  }
}
