import type { Arm, Environment, Fault, ModelSpec } from '../spec';
import { DefinitionError, fault, withDefaultGpus } from '../spec';
import { artifactConfigMap } from './artifact';
import { autoscaler } from './autoscaler';
import { cacheObjects } from './cache';
import { definitionConfigMap } from './configmap';
import type { Context } from './context';
import { contextOf } from './context';
import { deployment } from './deployment';
import { disruptionBudget } from './disruption';
import type { KubeObject } from './kube';
import { finished } from './kube';
import { MANAGER } from './labels';
import { monitoringObjects } from './monitoring';
import { networkPolicy } from './networkpolicy';
import { withOverrides } from './overrides';
import { serverConfigMap } from './serverconfig';
import { service } from './service';
import { serviceAccount } from './serviceaccount';

export type { KubeObject, Metadata } from './kube';
export { DEFINITION_KEY } from './configmap';
export {
  ARM_LABEL,
  DEFINITION_LABEL,
  HASH_ANNOTATION,
  MANAGER,
  MODEL_LABEL,
  PREFIX,
  SERVICE_NAMESPACE,
} from './labels';
export { NAMESPACE_FILE, namespaceOf } from './namespace';
export { SERVER_CONTAINER } from './pod';

/** The objects of one arm, those that may be absent left out. */
function armObjects(context: Context, arm: Arm): readonly (KubeObject | undefined)[] {
  return [deployment(context, arm), autoscaler(context, arm), disruptionBudget(context, arm)];
}

/** Gathers the faults of several parts, so that one answer holds them all. */
function collect<T>(parts: readonly (() => T)[]): readonly T[] {
  const faults = new Map<string, Fault>();
  const made = parts.flatMap((part) => {
    try {
      return [part()];
    } catch (error) {
      if (!(error instanceof DefinitionError)) throw error;
      error.faults.forEach((found) => faults.set(`${found.path} ${found.message}`, found));
      return [];
    }
  });
  if (faults.size > 0) throw new DefinitionError([...faults.values()]);
  return made;
}

/**
 * Names that begin with the service's own are refused: its objects may be in the same namespace.
 */
function refuseReserved({ id, slug }: ModelSpec): readonly [] {
  if (slug !== MANAGER && !slug.startsWith(`${MANAGER}-`)) return [];
  throw new DefinitionError([
    fault('id', id, `a name that does not begin with ${MANAGER} (the service’s own)`, 'rename it'),
  ]);
}

/** Arms may share content; its name is its hash, so equal names are equal objects. */
function withoutRepeats(objects: readonly KubeObject[]): readonly KubeObject[] {
  return [...new Map(objects.map((one) => [`${one.kind}/${one.metadata.name}`, one])).values()];
}

/**
 * Everything Kubernetes needs to run a model, in the order it should be applied. Pure: the same
 * definition and environment give the same objects, as finished JSON with sorted keys. `replicas`
 * is never set.
 * @param spec `file` sources must have their content (`withFiles`, `discover`)
 * @throws DefinitionError with every fault that only shows when objects are made
 */
export function objectsOf(spec: ModelSpec, environment: Environment): KubeObject[] {
  const context = contextOf(withDefaultGpus(spec, environment), environment);
  const { arms } = context.spec;
  const parts: (() => readonly (KubeObject | undefined)[])[] = [
    () => refuseReserved(spec),
    () => [serviceAccount(context), definitionConfigMap(context)],
    ...arms.map((arm) => () => [artifactConfigMap(context, arm), serverConfigMap(context, arm)]),
    () => [networkPolicy(context), service(context)],
    () => cacheObjects(context),
    ...arms.map((arm) => () => armObjects(context, arm)),
    () => monitoringObjects(context),
  ];
  const made = collect(parts)
    .flat()
    .filter((object) => object !== undefined);
  return [...withOverrides(spec, withoutRepeats(made.map(finished)))];
}
