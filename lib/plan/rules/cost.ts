import type { Amount } from '../../spec';
import { costChange } from '../cost';
import type { ModelChange } from '../change';
import type { FoundRisk, PlanRule } from './rule';
import { quoted } from './rule';

/** Cost of this model before and after, by the prices of after. */
export function modelCost({ before, after }: ModelChange) {
  const side = (state: ModelChange['after']) =>
    state?.spec === undefined ? undefined : { specs: [state.spec], environment: state.environment };
  return costChange(side(before), side(after), (after ?? before)?.environment.prices);
}

interface Limit {
  readonly field: 'monthly' | 'perModel';
  readonly what: string;
  readonly amount: Amount | undefined;
}

/** A limit that the most replicas exceed. */
function exceeded({ after }: ModelChange, { field, what, amount }: Limit): readonly FoundRisk[] {
  const limit = after?.environment.budget?.[field];
  if (limit === undefined || amount === undefined || amount.max <= limit) return [];
  const { currency } = after?.environment.prices ?? {};
  const range = `${amount.min.toFixed(2)} to ${amount.max.toFixed(2)} ${currency}`;
  return [
    {
      path: `environment.budget.${field}`,
      reason: `${what} may cost ${range} per month at the fewest and the most replicas; the budget is ${quoted(limit.toFixed(2))}`,
      fix: 'lower replicas or resources, or have the budget raised',
    },
  ];
}

export const budgetExceeded: PlanRule = {
  id: 'budget-exceeded',
  severity: 'high',
  when: 'the change makes a model dearer, and at the most replicas the model, or all models together, exceed the budget',
  check: (change) => {
    const cost = modelCost(change);
    if (cost === undefined || cost.after.max <= cost.before.max) return [];
    const limits: readonly Limit[] = [
      { field: 'perModel', what: 'the model', amount: cost.after },
      { field: 'monthly', what: 'all models together', amount: change.total?.after },
    ];
    return limits.flatMap((limit) => exceeded(change, limit));
  },
};
