import type { Rollout } from '../../spec';
import { STABLE } from '../../spec';
import type { ModelChange } from '../change';
import { armPairs } from '../change';
import type { FoundRisk, PlanRule } from './rule';
import { percentText, quoted } from './rule';

/** A first step of so many percent is not a step. */
const LARGE_STEP_PERCENT = 50;

export const rolloutJumps: PlanRule = {
  id: 'rollout-jumps',
  severity: 'medium',
  when: `a rollout begins with half of the callers or more`,
  check: ({ before, after }) => {
    const known = new Set(before?.spec?.arms.map(({ name, role }) => `${name} ${role.kind}`));
    return (after?.spec?.arms ?? []).flatMap(({ name, role }): readonly FoundRisk[] => {
      const first = role.kind === 'rollout' ? (role.rollout.steps[0] ?? 0) : 0;
      if (first < LARGE_STEP_PERCENT || known.has(`${name} rollout`)) return [];
      return [
        {
          path: 'candidates',
          reason: `the first step of ${quoted(name)} is ${percentText(first)} of the callers: so many meet its first fault`,
          fix: 'begin with 1 or 5',
        },
      ];
    });
  },
};

/** What of a rollout is easier to pass than before. */
function loosened(old: Rollout, next: Rollout): readonly string[] {
  const { failed: hadFailed, slow: hadSlow } = old.gates;
  const { failed, slow } = next.gates;
  const isOut = (was: number | undefined, is: number | undefined): boolean =>
    is !== undefined && (was === undefined || is > was);
  const checks: readonly (readonly [string, boolean])[] = [
    ['gates.failed.margin', failed.margin > hadFailed.margin],
    ['gates.failed.absolute', isOut(hadFailed.absolute, failed.absolute)],
    ['gates.slow.margin', slow.margin > hadSlow.margin],
    ['minRequests', next.minRequests < old.minRequests],
    ['minSeconds', next.minSeconds < old.minSeconds],
    ['strict', next.strict && !old.strict],
    ['alpha', next.alpha < old.alpha],
    ['hold', old.hold !== undefined && next.hold === undefined],
  ];
  return checks.filter(([, isLooser]) => isLooser).map(([name]) => name);
}

export const rolloutLoosened: PlanRule = {
  id: 'rollout-loosened',
  severity: 'medium',
  when: 'a rollout needs less evidence, or allows more, than before',
  check: (change) =>
    armPairs(change).flatMap(({ before, after }): readonly FoundRisk[] => {
      if (before.role.kind !== 'rollout' || after.role.kind !== 'rollout') return [];
      const names = loosened(before.role.rollout, after.role.rollout);
      if (names.length === 0) return [];
      return [
        {
          path: 'candidates',
          reason: `${quoted(after.name)} is promoted by less evidence, or aborted later: ${names.map(quoted).join(', ')}`,
          fix: 'keep the rules of a rollout that runs; change them between two',
        },
      ];
    }),
};

/** Callers that a rollout has moved, when its candidate goes without being stable. */
export function abandonedRollouts({ before, after }: ModelChange): readonly FoundRisk[] {
  const stable = after?.spec?.arms[0].version;
  const live = new Set(
    after?.spec?.arms.filter(({ role }) => role.kind !== 'shadow').map(({ name }) => name),
  );
  return (before?.spec?.arms ?? [])
    .filter(({ role, name, version }) => {
      return role.kind === 'rollout' && !live.has(name) && version !== stable;
    })
    .filter(() => stable !== undefined)
    .map(({ name, version }) => ({
      path: 'candidates',
      reason: `callers whom the rollout has moved to ${quoted(version)} (${quoted(name)}) get ${quoted(stable)} (${quoted(STABLE)}) again: how many, its status says`,
      fix: 'let it end, or abort it first',
    }));
}
