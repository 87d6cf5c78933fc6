import { armPath } from './arms';
import type { FindingRule } from './finding';
import { downloadSeconds, quantityValue } from './quantity';
import { STABLE } from './names';
import type { QuotaName } from './updating';
import { needOf, quotaOf, quotasWithoutSurge } from './updating';

export const startupBudget: FindingRule = {
  id: 'startup-budget',
  severity: 'error',
  // Only a stated size counts: a claim may be larger than its content.
  check: ({ arms, health }) => {
    const sizes = arms.flatMap(({ source }) => (source?.size === undefined ? [] : [source.size]));
    const [largest] = sizes.toSorted((a, b) => quantityValue(b) - quantityValue(a));
    if (largest === undefined) return [];
    const seconds = downloadSeconds(largest);
    return health.startupSeconds >= seconds
      ? []
      : [
          {
            path: 'health.startupSeconds',
            reason: `loading ${largest} takes about ${seconds} s at 50 MB/s, the budget is ${health.startupSeconds} s: the pod would be restarted for ever`,
            fix: `set \`health.startupSeconds\` to at least ${seconds}`,
          },
        ];
  },
};

function quotaRule(name: QuotaName, unit: string): FindingRule {
  return {
    id: `${name}-quota`,
    severity: 'error',
    check: (spec, { environment }) => {
      const quota = quotaOf(environment, name);
      const { full, updating } = needOf(spec, environment, name);
      if (quota === undefined) return [];
      const is = `the quota is ${environment.quota[name]}`;
      if (full > quota) {
        const reason = `all arms at their maximum need ${full} ${unit}, ${is}`;
        return [
          { path: 'scaling.maxReplicas', reason, fix: 'lower `maxReplicas`, or raise the quota' },
        ];
      }
      if (updating <= quota || spec.updateStrategy !== 'surge') return [];
      return [
        {
          path: 'updateStrategy',
          reason: `an update by surge starts a new replica before it ends an old one and needs ${updating} ${unit}, ${is}: the new replica would stay pending`,
          fix: 'set `updateStrategy` to replace, lower `scaling.maxReplicas`, or raise the quota',
        },
      ];
    },
  };
}

export const gpuQuota = quotaRule('gpu', 'GPUs');
export const cpuQuota = quotaRule('cpu', 'cores');
export const memoryQuota = quotaRule('memory', 'bytes of memory');

export const updateReplaces: FindingRule = {
  id: 'update-replaces',
  severity: 'warning',
  check: (spec, { environment }) => {
    const names = quotasWithoutSurge(spec, environment);
    if (spec.updateStrategy !== undefined || names.length === 0) return [];
    const outage = spec.arms.some(({ scaling }) => scaling.minReplicas <= 1)
      ? ', and an arm of one replica answers nothing meanwhile'
      : '';
    return [
      {
        path: 'updateStrategy',
        reason: `the quota (${names.join(', ')}) has no room for one replica more, so an update ends an old replica before it starts a new one${outage}`,
        fix: 'set `updateStrategy` to replace if that is meant, or raise the quota',
      },
    ];
  },
};

export const singleReplica: FindingRule = {
  id: 'single-replica',
  severity: 'warning',
  check: (spec) =>
    spec.arms.flatMap((arm) => {
      const { minReplicas, maxReplicas } = arm.scaling;
      // A candidate that inherits its scaling repeats the finding of stable.
      const inherited = arm.name !== STABLE && arm.scaling === spec.arms[0].scaling;
      if (minReplicas !== 1 || maxReplicas < 2 || inherited) return [];
      return [
        {
          path: armPath(spec, arm, 'scaling.minReplicas'),
          reason:
            'its disruption budget lets one replica be evicted: while there is only one, the drain of its node is an outage',
          fix: 'set `minReplicas` to 2, or waive this where a short outage is accepted',
        },
      ];
    }),
};
