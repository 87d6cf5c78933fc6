import { InvalidArgumentError } from 'commander';
import { isSameCost } from '../../lib/plan/cost';
import { PLAN_RULES } from '../../lib/plan/rules';
import type { Plan, Severity } from '../../lib/plan/schema';
import { SEVERITIES } from '../../lib/plan/schema';
import { didYouMean } from '../../lib/spec/closest';

/** When a plan fails a pipeline. */
export type Condition =
  | { readonly kind: 'rule'; readonly rule: string }
  /** Risks of this severity, or worse. */
  | { readonly kind: 'severity'; readonly severity: Severity }
  /** The models that change cost so much more per month. */
  | { readonly kind: 'cost'; readonly more: number };

const isSeverity = (text: string): text is Severity =>
  SEVERITIES.some((severity) => severity === text);

function parsed(text: string): Condition {
  if (isSeverity(text)) return { kind: 'severity', severity: text };
  const rules = PLAN_RULES.map(({ id }) => id);
  if (rules.includes(text)) return { kind: 'rule', rule: text };
  const [, amount] = /^cost=(\d+(?:\.\d+)?)$/.exec(text) ?? [];
  if (amount !== undefined) return { kind: 'cost', more: Number(amount) };
  const hint = didYouMean(text, rules);
  const words = `got ${JSON.stringify(text)}, must be a rule of docs/plan.md, ${SEVERITIES.join(', ')} (that severity or worse), or cost=N (per month)`;
  throw new InvalidArgumentError(hint === undefined ? words : `${words}; ${hint}`);
}

/** Reads `--fail-on`, which may be given several times and may hold a list with commas. */
export function failOn(text: string, before: readonly Condition[] = []): readonly Condition[] {
  return [...before, ...text.split(',').map((one) => parsed(one.trim()))];
}

/** A limit that cannot be checked must not pass unnoticed. */
function costReasons(limit: number, { costs }: Plan): readonly string[] {
  if (costs.length === 0) return ['cost: no environment has prices'];
  return costs.flatMap((cost) => {
    const { environment, before, after, currency, unknown } = cost;
    const missing = [...new Set([...unknown.before, ...unknown.after])];
    const more = after.max - before.max;
    if (missing.length > 0 && !isSameCost(cost)) {
      return [`cost: not known in ${environment} without ${missing.join(', ')}`];
    }
    if (more <= limit) return [];
    return [`cost: up to ${more.toFixed(2)} ${currency} more per month in ${environment}`];
  });
}

function reasonsOf(condition: Condition, plan: Plan): readonly string[] {
  if (condition.kind === 'cost') return costReasons(condition.more, plan);
  const worst = condition.kind === 'severity' ? SEVERITIES.indexOf(condition.severity) : -1;
  return plan.models.flatMap(({ model_id, risks }) =>
    risks
      .filter(({ rule, severity }) =>
        condition.kind === 'rule' ? rule === condition.rule : SEVERITIES.indexOf(severity) <= worst,
      )
      .map(({ rule }) => `${model_id}: ${rule}`),
  );
}

/** What of a plan meets the conditions, each once. */
export function failures(conditions: readonly Condition[], plan: Plan): readonly string[] {
  return [...new Set(conditions.flatMap((condition) => reasonsOf(condition, plan)))];
}
