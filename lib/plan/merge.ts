import type { ModelPlan } from './schema';
import { SEVERITIES } from './schema';

/** What is left of a model's plan without the names of its environment. */
function meaningOf(plan: ModelPlan): string {
  return JSON.stringify({ ...plan, environments: [] });
}

/** Smaller is worse: the worst risk, then a deletion, then a restart, then anything. */
function rankOf({ risks, action, restarts }: ModelPlan): readonly number[] {
  const worst = risks[0] === undefined ? SEVERITIES.length : SEVERITIES.indexOf(risks[0].severity);
  const of = (severity: (typeof SEVERITIES)[number]): number =>
    risks.filter((risk) => risk.severity === severity).length;
  const counts = SEVERITIES.map((severity) => -of(severity));
  return [worst, ...counts, action === 'delete' ? 0 : 1, restarts.length > 0 ? 0 : 1];
}

function byRank(a: ModelPlan, b: ModelPlan): number {
  const [first, second] = [rankOf(a), rankOf(b)];
  const at = first.findIndex((value, index) => value !== second[index]);
  if (at >= 0) return (first[at] ?? 0) - (second[at] ?? 0);
  return a.model_id < b.model_id ? -1 : 1;
}

/** One entry for a model that changes in the same way in several environments; worst first. */
export function mergedModels(models: readonly ModelPlan[]): ModelPlan[] {
  const groups = new Map<string, ModelPlan>();
  for (const model of models) {
    const meaning = meaningOf(model);
    const known = groups.get(meaning);
    const environments = [...(known?.environments ?? []), ...model.environments];
    groups.set(meaning, { ...model, environments });
  }
  return [...groups.values()].toSorted(byRank);
}
