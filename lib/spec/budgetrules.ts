import type { Cost } from './cost';
import { costOf, totalCost } from './cost';
import type { Environment } from './environment';
import type { Finding, FindingRule, Found } from './finding';
import type { ModelSpec } from './parse';

// What models cost against `budget` of their environment: each model (rules), and all together.

/** `1234.50 USD per month`. */
function moneyText(amount: number, { prices }: Environment): string {
  return `${amount.toFixed(2)} ${prices.currency} per month`;
}

type Verdict = 'budget-exceeded' | 'budget-maximum' | 'budget-unknown';

const SEVERITY: Readonly<Record<Verdict, Finding['severity']>> = {
  'budget-exceeded': 'error',
  'budget-maximum': 'warning',
  'budget-unknown': 'warning',
};

/** A cost against its limit. The known part may exceed it, whatever the other prices are. */
function verdictOf({ known, unknown }: Cost, limit: number): Verdict | undefined {
  if (known.min > limit) return 'budget-exceeded';
  if (known.max > limit) return 'budget-maximum';
  return unknown.length > 0 ? 'budget-unknown' : undefined;
}

interface Limit {
  readonly what: string;
  readonly path: string;
  readonly field: 'monthly' | 'perModel';
}

function words(
  verdict: Verdict,
  cost: Cost,
  { what, path, field }: Limit,
  environment: Environment,
) {
  const limit = environment.budget?.[field] ?? 0;
  const is = `\`budget.${field}\` is ${moneyText(limit, environment)}`;
  const { known, unknown } = cost;
  const least = unknown.length > 0 ? 'at least ' : '';
  const found = (reason: string, fix: string): Found => ({ path, reason, fix });
  if (verdict === 'budget-unknown') {
    return found(
      `the cost is not known without ${unknown.join(', ')}, so the limit cannot be checked; ${is}`,
      'add the missing prices to the environment',
    );
  }
  const [replicas, amount] =
    verdict === 'budget-exceeded' ? ['fewest', known.min] : ['most', known.max];
  return found(
    `${what} at the ${replicas} replicas costs ${least}${moneyText(amount, environment)}, ${is}`,
    'lower replicas or resources, or raise the budget',
  );
}

function rule(id: Verdict): FindingRule {
  return {
    id,
    severity: SEVERITY[id],
    check: (spec, { environment }) => {
      const limit = environment.budget?.perModel;
      if (limit === undefined) return [];
      const cost = costOf(spec, environment);
      const path = id === 'budget-exceeded' ? 'scaling.minReplicas' : 'scaling.maxReplicas';
      const about: Limit = { what: 'the model', path, field: 'perModel' };
      return verdictOf(cost, limit) === id ? [words(id, cost, about, environment)] : [];
    },
  };
}

export const budgetExceeded = rule('budget-exceeded');
export const budgetMaximum = rule('budget-maximum');
export const budgetUnknown = rule('budget-unknown');

/** `budget.monthly` against all models of an environment; the finding has its name as `model`. */
export function budgetFindings(
  specs: readonly ModelSpec[],
  environment: Environment,
): readonly Finding[] {
  const limit = environment.budget?.monthly;
  if (limit === undefined) return [];
  const cost = totalCost(specs.map((spec) => costOf(spec, environment)));
  const verdict = verdictOf(cost, limit);
  if (verdict === undefined) return [];
  const path = 'budget.monthly';
  const about: Limit = { what: 'all models together', path, field: 'monthly' };
  const found = words(verdict, cost, about, environment);
  return [{ rule: verdict, severity: SEVERITY[verdict], model: environment.name, ...found }];
}
