import type { ArmStats, Load } from '../../runtime/core/routing/load';

/** A load whose numbers a test sets. */
export const loadOfStats = (stats: readonly ArmStats[], active: () => number = () => 0): Load => ({
  arms: () => stats,
  arm: (model, arm) => stats.find((one) => one.model === model && one.arm === arm),
  rollouts: () => [],
  active,
});
