import type { FindingRule } from './finding';
import { quantityValue } from './quantity';
import { gpuOf } from './resources';

/** Slowest download we plan with: 50 MB/s, what one stream from object storage gives. */
const BYTES_PER_SECOND = 50_000_000;

export const startupBudget: FindingRule = {
  id: 'startup-budget',
  severity: 'error',
  // Only a stated size counts: a claim may be larger than what lies on it.
  check: ({ arms, health }) => {
    const sizes = arms.flatMap(({ source }) => (source?.size === undefined ? [] : [source.size]));
    const [largest] = sizes.toSorted((a, b) => quantityValue(b) - quantityValue(a));
    if (largest === undefined) return [];
    const seconds = Math.ceil(quantityValue(largest) / BYTES_PER_SECOND);
    return health.startupSeconds >= seconds
      ? []
      : [
          {
            path: 'health.startupSeconds',
            reason: `loading ${largest} takes about ${seconds} s at 50 MB/s, the budget is ${health.startupSeconds} s: the pod would be restarted for ever`,
            fix: `set health.startupSeconds to at least ${seconds}`,
          },
        ];
  },
};

export const gpuQuota: FindingRule = {
  id: 'gpu-quota',
  severity: 'error',
  check: ({ arms }, { environment }) => {
    const { gpu: quota } = environment.quota;
    const needed = arms.reduce(
      (sum, arm) => sum + arm.scaling.maxReplicas * (gpuOf(arm.resources)?.count ?? 0),
      0,
    );
    return quota === undefined || needed <= quota
      ? []
      : [
          {
            path: 'scaling.maxReplicas',
            reason: `all arms at their maximum need ${needed} GPUs, the quota is ${quota}`,
            fix: 'lower maxReplicas, or raise the quota',
          },
        ];
  },
};
