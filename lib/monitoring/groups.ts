import type { Environment, ModelSpec } from '../spec';
import { MODEL_ALERTS, watchedModel } from './model-alerts';
import type { RuleGroup } from './rules';
import { alertRules, serviceNamespace } from './rules';
import { serverRules } from './server-metrics';
import { SERVICE_ALERTS } from './service-alerts';

/** Rules of a model: its alerts, and the recording rules for its servers. */
export function modelRuleGroups(spec: ModelSpec, environment: Environment): readonly RuleGroup[] {
  const name = `ai-model-service.${environment.namespace}.${spec.slug}`;
  const common = { model_id: spec.id };
  const servers = serverRules(spec, environment);
  return [
    {
      name,
      rules: alertRules(MODEL_ALERTS, watchedModel(spec, environment), environment, common),
    },
    ...(servers.length === 0 ? [] : [{ name: `${name}.servers`, rules: servers }]),
  ];
}

/** Rules of the routers in their namespace. `routers`: the minimum number of them. */
export function serviceRuleGroup(environment: Environment, routers = 1): RuleGroup {
  const namespace = serviceNamespace(environment);
  return {
    name: `ai-model-service.${namespace}`,
    rules: alertRules(SERVICE_ALERTS, { namespace, routers }, environment),
  };
}

/** All rules for these models and the routers of the environment, as a rules file has them. */
export function ruleGroups(
  specs: readonly ModelSpec[],
  environment: Environment,
  routers?: number,
): readonly RuleGroup[] {
  return [
    ...specs.flatMap((spec) => modelRuleGroups(spec, environment)),
    serviceRuleGroup(environment, routers),
  ];
}
