import type { Arm, Cohort, ModelSpec } from '../spec';
import { hundredths } from '../spec';
import type { Move, Traffic, TrafficShare } from './schema';

const ALL = 10_000;

/** Percent of callers that an arm gets by its definition; a rollout begins at its first step. */
function percentOf({ role }: Arm): number {
  return role.kind === 'rollout' ? (role.rollout.steps[0] ?? 0) : role.percent;
}

function sharesOf(spec: ModelSpec | undefined): TrafficShare[] {
  return (spec?.arms ?? []).map((arm) => ({
    arm: arm.name,
    version: arm.version,
    role: arm.role.kind,
    percent: percentOf(arm),
  }));
}

/** The part of [0, 10,000) an arm owns. */
interface Interval {
  readonly arm: Arm;
  readonly from: number;
  readonly to: number;
}

/**
 * Callers by the position of their hash: the first candidate owns [0, w1), the second
 * [1 − w2, 1), stable the rest (docs/inference.md). A rollout begins at 0.
 */
function intervalsOf({ arms }: ModelSpec): readonly Interval[] {
  const [stable, ...candidates] = arms;
  const live = candidates.filter(({ role }) => role.kind !== 'shadow');
  const share = ({ role }: Arm): number => (role.kind === 'traffic' ? hundredths(role.percent) : 0);
  const [first, second] = live;
  const low = first === undefined ? 0 : share(first);
  const high = ALL - (second === undefined ? 0 : share(second));
  return [
    ...(first === undefined ? [] : [{ arm: first, from: 0, to: low }]),
    { arm: stable, from: low, to: high },
    ...(second === undefined ? [] : [{ arm: second, from: high, to: ALL }]),
  ].filter(({ from, to }) => to > from);
}

const named = ({ name, version }: Arm): Move['from'] => ({ arm: name, version });

/** Hundredths of a percent of callers for each pair of intervals. */
type Overlap = (before: Interval, after: Interval) => number;

const common: Overlap = (before, after) =>
  Math.max(0, Math.min(before.to, after.to) - Math.max(before.from, after.from));

/** The expectation when every caller gets a new position. */
const byChance: Overlap = (before, after) =>
  ((before.to - before.from) * (after.to - after.from)) / ALL;

function movesOf(before: ModelSpec, after: ModelSpec, overlap: Overlap): Move[] {
  const moves = intervalsOf(before).flatMap((old) =>
    intervalsOf(after).map((next) => ({
      percent: Math.round(overlap(old, next)) / 100,
      from: named(old.arm),
      to: named(next.arm),
    })),
  );
  return moves
    .filter(({ percent }) => percent > 0)
    .filter(({ from, to }) => from.arm !== to.arm || from.version !== to.version)
    .sort((a, b) => b.percent - a.percent);
}

/** Where the key of a caller is: `header x-user-id`. */
export function cohortKeyOf(cohort: Cohort): string {
  if ('header' in cohort) return `header ${cohort.header.toLowerCase()}`;
  return 'claim' in cohort ? `claim ${cohort.claim}` : `cookie ${cohort.cookie}`;
}

export const saltOf = ({ id, inference }: ModelSpec): string => inference.cohort.salt ?? id;

/** Whether callers are distributed at all: with one live arm everyone gets it. */
export const isSplit = (spec: ModelSpec): boolean => intervalsOf(spec).length > 1;

/** Whether callers are distributed by something else than before. */
function isReshuffled(before: ModelSpec, after: ModelSpec): boolean {
  const same =
    saltOf(before) === saltOf(after) &&
    cohortKeyOf(before.inference.cohort) === cohortKeyOf(after.inference.cohort);
  return !same && isSplit(before) && isSplit(after);
}

/**
 * Who gets another arm or version. Undefined when nothing of traffic changes: neither a share, nor
 * a version, nor the key of callers.
 */
export function trafficOf(
  before: ModelSpec | undefined,
  after: ModelSpec | undefined,
): Traffic | undefined {
  const spec = after ?? before;
  if (spec === undefined) return undefined;
  const shares = { before: sharesOf(before), after: sharesOf(after) };
  const key = cohortKeyOf(spec.inference.cohort);
  if (before === undefined || after === undefined) {
    return { ...shares, key, reshuffled: false, moves: [] };
  }
  const reshuffled = isReshuffled(before, after);
  const moves = movesOf(before, after, reshuffled ? byChance : common);
  const isSame = JSON.stringify(shares.before) === JSON.stringify(shares.after);
  return isSame && moves.length === 0 ? undefined : { ...shares, key, reshuffled, moves };
}
