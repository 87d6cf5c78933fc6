import type { QuotaName } from '../../spec';
import { hundredths, quantityValue, quotaOf, STABLE } from '../../spec';
import { modelNeed, RESOURCES } from '../capacity';
import type { ModelChange } from '../change';
import { armPairs } from '../change';
import type { FoundRisk, PlanRule } from './rule';
import { percentText, quoted } from './rule';

const UNITS: Readonly<Record<QuotaName, string>> = {
  gpu: 'GPUs',
  cpu: 'cores',
  memory: 'GiB of memory',
};

function amount(name: QuotaName, value: number): string {
  const shown = name === 'memory' ? value / 2 ** 30 : value;
  return `${Math.round(shown * 100) / 100} ${UNITS[name]}`;
}

/** Quotas that the change makes too small, at the fewest or at the most replicas. */
function exceeded(change: ModelChange, at: 'min' | 'max'): readonly FoundRisk[] {
  const { before, after, capacity } = change;
  const spec = after?.spec;
  if (after === undefined || spec === undefined) return [];
  return RESOURCES.flatMap((name): readonly FoundRisk[] => {
    const quota = quotaOf(after.environment, name);
    const all = capacity[name];
    if (quota === undefined || all === undefined) return [];
    const own = modelNeed(spec, after.environment, name);
    const had =
      before?.spec === undefined ? undefined : modelNeed(before.spec, before.environment, name);
    const oldQuota = before === undefined ? quota : quotaOf(before.environment, name);
    const isMore = had === undefined || own[at] + own.surge > had[at] + had.surge;
    const isLess = oldQuota === undefined || oldQuota > quota;
    const need = all[at] + own.surge;
    if (need <= quota || (!isMore && !isLess)) return [];
    const replicas = at === 'min' ? 'fewest' : 'most';
    const surge = own.surge === 0 ? '' : `, ${amount(name, own.surge)} of it for the update`;
    return [
      {
        path: at === 'min' ? 'scaling.minReplicas' : 'scaling.maxReplicas',
        reason: `all models of ${quoted(after.environment.name)} at their ${replicas} replicas need ${amount(name, need)}${surge}; the quota is ${amount(name, quota)}`,
        fix:
          at === 'min'
            ? 'raise the quota first: pods stay pending'
            : 'raise the quota, lower a maximum, or set `updateStrategy` to replace',
      },
    ];
  });
}

export const quotaAtMinimum: PlanRule = {
  id: 'quota-at-minimum',
  severity: 'high',
  when: 'the fewest replicas of all models, and the surge of this update, exceed a quota (GPUs, CPU, memory)',
  check: (change) => exceeded(change, 'min'),
};

export const quotaAtMaximum: PlanRule = {
  id: 'quota-at-maximum',
  severity: 'medium',
  when: 'the most replicas of all models, and the surge of this update, exceed a quota; the fewest do not',
  check: (change) => (exceeded(change, 'min').length > 0 ? [] : exceeded(change, 'max')),
};

/** Replicas that carry all traffic: the larger maximum of stable before and after. */
function wholeOf({ before, after }: ModelChange): number {
  const maxima = [before, after].map((state) => state?.spec?.arms[0].scaling.maxReplicas ?? 0);
  return Math.max(...maxima);
}

export const capacityBelowShare: PlanRule = {
  id: 'capacity-below-share',
  severity: 'medium',
  when: 'the most replicas of an arm are fewer than its share of those that carried all traffic',
  check: (change) => {
    const whole = wholeOf(change);
    const before = new Map(change.before?.spec?.arms.map((arm) => [arm.name, arm]));
    return (change.after?.spec?.arms ?? []).flatMap((arm): readonly FoundRisk[] => {
      const percent = arm.role.kind === 'rollout' ? 100 : arm.role.percent;
      const needed = Math.ceil((whole * hundredths(percent)) / 10_000);
      const had = before.get(arm.name);
      const isSame =
        JSON.stringify([had?.role, had?.scaling]) === JSON.stringify([arm.role, arm.scaling]);
      if (arm.role.kind === 'shadow' || isSame || arm.scaling.maxReplicas >= needed) return [];
      const path = arm.name === STABLE ? 'scaling.maxReplicas' : 'candidates';
      return [
        {
          path,
          reason: `${quoted(arm.name)} gets ${percentText(percent)} of the traffic that ${whole} replicas carried, and has at most ${arm.scaling.maxReplicas}`,
          fix: `set its \`maxReplicas\` to at least ${needed}`,
        },
      ];
    });
  },
};

export const memoryLowered: PlanRule = {
  id: 'memory-lowered',
  severity: 'medium',
  when: 'replicas of an arm get less memory, which is their limit as well',
  check: (change) =>
    armPairs(change).flatMap(({ before, after }) => {
      const bytes = (memory: string | undefined, state: ModelChange['after']): number =>
        quantityValue(memory ?? state?.environment.defaultResources.memory ?? '0');
      const [was, is] = [
        bytes(before.resources.memory, change.before),
        bytes(after.resources.memory, change.after),
      ];
      if (is >= was) return [];
      return [
        {
          path: 'resources.memory',
          reason: `replicas of ${quoted(after.name)} are killed above ${amount('memory', is)}, which was ${amount('memory', was)}`,
          fix: 'compare it with the largest use that was measured',
        },
      ];
    }),
};
