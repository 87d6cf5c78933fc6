import type { Finding, ModelObservation, ModelSpec } from '../spec';
import { budgetFindings, definitionHash, findingsOf } from '../spec';
import { withRegistry } from '../spec/images';
import type { Capacity } from './capacity';
import { capacityOf } from './capacity';
import type { ModelChange, PlanModel, PlanModels, PlanSide } from './change';
import { stateOf } from './change';
import { costChange, costNow, isSameCost, originOf } from './cost';
import { objectChanges } from './differences';
import { mergedModels } from './merge';
import { restartsOf } from './restarts';
import { risksOf } from './rules';
import { modelCost } from './rules/cost';
import { registryOf } from './rules/supply';
import type { CostNow, ModelPlan, ObjectChange, Plan, PlanCost } from './schema';
import { trafficOf } from './traffic';

export type { PlanModel, PlanModels, PlanSide } from './change';

/** Both sides in one environment; a side is absent when the environment comes or goes. */
export interface PlannedEnvironment {
  readonly name: string;
  readonly before?: PlanSide | undefined;
  readonly after?: PlanSide | undefined;
}

type Observations = ReadonlyMap<string, ModelObservation>;

export interface PlanInput {
  readonly environments: readonly PlannedEnvironment[];
  /** What it is compared with, for people. */
  readonly base: string;
  /** Version of this library. */
  readonly library: string;
  /** `YYYY-MM-DD`, for waivers. */
  readonly today?: string | undefined;
  /** What runs, by model, for the cost of now. */
  readonly observed?: Observations | undefined;
  /** What could not be compared. */
  readonly notes?: readonly string[];
  /** Errors that were found beside the comparison. */
  readonly errors?: readonly Finding[];
}

const contentsOf = ({ arms }: ModelSpec): readonly unknown[] =>
  arms.map(({ source }) => [source?.content?.sha256, source?.content?.name]);

/** Whether both render the same objects in the same environment. */
function isSameModel(before: PlanModel | undefined, after: PlanModel | undefined): boolean {
  if (before === after) return true;
  if (before === undefined || after === undefined) return false;
  if ('objects' in before || 'objects' in after) return false;
  const text = ({ spec }: { readonly spec: ModelSpec }): string =>
    JSON.stringify([spec.definition, contentsOf(spec)]);
  return text(before) === text(after);
}

const EMPTY: PlanModels = new Map();

function specsOf(side: PlanSide | undefined): readonly ModelSpec[] {
  return [...(side?.models.values() ?? [])].flatMap(({ spec }) =>
    spec === undefined ? [] : [spec],
  );
}

/** Registries of the images that definitions and the environment name. */
function registriesOf(side: PlanSide | undefined): ReadonlySet<string> {
  if (side === undefined) return new Set();
  const { registry, images } = side.environment;
  const own = specsOf(side).flatMap(({ arms }) =>
    arms.flatMap(({ image, server }) => {
      const named = image ?? server.image;
      return named === undefined ? [] : [named];
    }),
  );
  const all = [...own, ...Object.values(images)];
  return new Set(all.map((image) => registryOf(withRegistry(image, registry))));
}

/** What models of one environment are compared with. */
interface Surroundings extends PlannedEnvironment {
  readonly capacity: Capacity;
  readonly total: PlanCost | undefined;
  readonly registries: ReadonlySet<string>;
  readonly today: string | undefined;
  readonly observed: Observations | undefined;
}

function changeOf(id: string, around: Surroundings): ModelChange {
  const { before, after, capacity, total, registries, today } = around;
  const old = before && stateOf(before.models.get(id), before.environment);
  const next = after && stateOf(after.models.get(id), after.environment);
  const traffic = trafficOf(old?.spec, next?.spec);
  return { id, before: old, after: next, traffic, total, capacity, registries, today };
}

const hashOf = (spec: ModelSpec | undefined) =>
  spec === undefined ? undefined : definitionHash(spec.definition);

function actionOf({ before, after }: ModelChange): ModelPlan['action'] {
  if (before === undefined) return 'create';
  return after === undefined ? 'delete' : 'update';
}

/** What runs, by the prices of after; undefined where it was not observed. */
function nowOf({ id, before, after }: ModelChange, observed: Observations | undefined) {
  const seen = observed?.get(id);
  if (seen === undefined || before?.spec === undefined) return undefined;
  const { prices } = (after ?? before).environment;
  return costNow(before.spec, { ...before.environment, prices }, seen);
}

/** Absent where there is nothing to say. */
function costParts(
  change: ModelChange,
  observed: Observations | undefined,
): { readonly cost?: PlanCost; readonly now?: CostNow } {
  const [cost, now] = [modelCost(change), nowOf(change, observed)];
  return {
    ...(cost !== undefined && !isSameCost(cost) && { cost }),
    ...(now !== undefined && { now }),
  };
}

function modelPlan(change: ModelChange, around: Surroundings): ModelPlan {
  const { name, before, after, observed } = around;
  const namespace = (after ?? before)?.environment.namespace;
  const objects = objectChanges(
    change.before?.objects ?? [],
    change.after?.objects ?? [],
    namespace,
  );
  const [old, next] = [hashOf(change.before?.spec), hashOf(change.after?.spec)];
  return {
    model_id: change.id,
    environments: [name],
    action: actionOf(change),
    risks: risksOf(change),
    ...(change.traffic !== undefined && { traffic: change.traffic }),
    restarts: restartsOf(change),
    ...costParts(change, observed),
    objects,
    hash: { ...(old !== undefined && { before: old }), ...(next !== undefined && { after: next }) },
  };
}

interface EnvironmentPlan {
  readonly models: readonly ModelPlan[];
  readonly shared: readonly ObjectChange[];
  readonly findings: readonly Finding[];
  readonly ids: ReadonlySet<string>;
  readonly costs: Plan['costs'];
}

function findingsIn({ before, after }: ModelChange, today: string | undefined): readonly Finding[] {
  if (after?.spec === undefined) return [];
  const { environment, spec } = after;
  return findingsOf(spec, { environment, today, previous: before?.spec }).filter(
    ({ severity }) => severity === 'error',
  );
}

function totalCostOf({ before, after }: PlannedEnvironment): PlanCost | undefined {
  const side = (one: PlanSide | undefined) =>
    one && { specs: specsOf(one), environment: one.environment };
  return costChange(side(before), side(after), (after ?? before)?.environment.prices);
}

/** The budget of all models together. */
function budgetErrors(side: PlanSide | undefined): readonly Finding[] {
  const found = side === undefined ? [] : budgetFindings(specsOf(side), side.environment);
  return found.filter(({ severity }) => severity === 'error');
}

function planIn(environment: PlannedEnvironment, input: PlanInput): EnvironmentPlan {
  const { before, after } = environment;
  const capacity = after === undefined ? {} : capacityOf(specsOf(after), after.environment);
  const total = totalCostOf(environment);
  const { today, observed } = input;
  const registries = registriesOf(before);
  const around = { ...environment, capacity, total, registries, today, observed };
  const ids = new Set([...(before?.models ?? EMPTY).keys(), ...(after?.models ?? EMPTY).keys()]);
  const isSame = JSON.stringify(before?.environment) === JSON.stringify(after?.environment);
  const changes = [...ids]
    .filter((id) => !isSame || !isSameModel(before?.models.get(id), after?.models.get(id)))
    .map((id) => changeOf(id, around));
  const shared = objectChanges(before?.shared ?? [], after?.shared ?? []);
  const planned = changes.map((change) => [change, modelPlan(change, around)] as const);
  const real = planned.filter(
    ([, { action, objects }]) => action !== 'update' || objects.length > 0,
  );
  return {
    models: real.map(([, model]) => model),
    shared,
    findings: [
      ...real.flatMap(([change]) => findingsIn(change, today)),
      ...(real.length === 0 ? [] : budgetErrors(after)),
    ],
    ids,
    costs: total === undefined ? [] : [{ environment: environment.name, ...total }],
  };
}

function originsOf(environments: readonly PlannedEnvironment[]): string[] {
  const origins = environments.flatMap(({ before, after }) => {
    const side = after ?? before;
    return (side && originOf(side.environment.prices)) ?? [];
  });
  return [...new Set(origins)];
}

function totalsOf(changes: readonly ObjectChange[]): Plan['totals'] {
  const count = (...actions: readonly ObjectChange['action'][]): number =>
    changes.filter(({ action }) => actions.includes(action)).length;
  return {
    create: count('create', 'replace'),
    update: count('update'),
    delete: count('delete', 'replace'),
  };
}

/**
 * What a change of definitions or environments means. Pure: the same input gives the same plan.
 * @throws DefinitionError with the faults that show only when objects are made
 */
export function planOf(input: PlanInput): Plan {
  const { environments, base, library, notes = [], errors = [] } = input;
  const plans = environments.map((one) => planIn(one, input));
  const models = plans.flatMap((one) => one.models);
  const ids = new Set(plans.flatMap((one) => [...one.ids]));
  const changed = new Set(models.map(({ model_id }) => model_id));
  const findings = [...errors, ...plans.flatMap((one) => one.findings)];
  const shared = plans.flatMap((one) => one.shared);
  return {
    format: 1,
    base,
    models: mergedModels(models),
    unchanged: ids.size - changed.size,
    shared,
    findings: [...new Map(findings.map((one) => [JSON.stringify(one), one])).values()],
    notes: [...notes],
    costs: plans.flatMap((one) => one.costs),
    prices: originsOf(environments),
    totals: totalsOf([...models.flatMap(({ objects }) => objects), ...shared]),
    library,
  };
}
