import type { Rollout } from '../../../lib/spec';
import type { HarmCounts, RowEvidence } from './evidence';
import { evidenceOf, harmFactors, isCompared, logEvidence, stratifiedDifference } from './evidence';
import { logRatioEvidence } from './sample-ratio';

export type GateName = 'failed' | 'slow' | 'ratio';

/** What one gate says. */
export interface GateView {
  readonly name: GateName;
  /** Evidence that the candidate is worse; of `ratio`, that callers are not drawn as promised. */
  readonly e: number;
  readonly stable: { readonly n: number; readonly harmed: number };
  readonly candidate: { readonly n: number; readonly harmed: number };
}

/** A gate with what an abort needs. */
export interface HarmGate extends GateView {
  readonly name: 'failed' | 'slow';
  /** Part of the whole evidence. */
  readonly weight: number;
  /** Worse by more than the margin, in the comparison of each share by itself. */
  readonly isAboveMargin: boolean;
}

/** The weights add up to 1, so that the mean of evidence is evidence; feedback would have .1. */
const FAILED_WEIGHT = 0.6;
const SLOW_WEIGHT = 0.3;
const ABSENT_WEIGHT = 0.1;
/** The fast lane's part of the gate `failed`. */
const EARLY_WEIGHT = 0.1;
/** Slow trials of fewer callers in either arm say nothing. */
const MIN_SLOW_TRIALS = 200;

/** Evidence that is not there is 1: it neither helps nor hurts. */
const NOTHING = 1;

const sum = (rows: readonly HarmCounts[], arm: 'stable' | 'candidate') => ({
  n: rows.reduce((total, { trials }) => total + trials[arm], 0),
  harmed: rows.reduce((total, { harmed }) => total + harmed[arm], 0),
});

const sides = (rows: readonly HarmCounts[]): Pick<GateView, 'stable' | 'candidate'> => ({
  stable: sum(rows, 'stable'),
  candidate: sum(rows, 'candidate'),
});

export const failedRows = (rows: readonly RowEvidence[]): readonly HarmCounts[] =>
  rows.map(({ hundredths, trials, failed }) => ({ hundredths, trials, harmed: failed }));

const earlyRows = (rows: readonly RowEvidence[]): readonly HarmCounts[] =>
  rows.map(({ hundredths, early }) => ({
    hundredths,
    trials: early.trials,
    harmed: early.failed,
  }));

const slowRows = (rows: readonly RowEvidence[]): readonly HarmCounts[] =>
  rows.map(({ hundredths, slow }) => ({
    hundredths,
    trials: slow.trials,
    harmed: slow.harmed,
  }));

type Rules = Pick<Rollout, 'strict' | 'gates'>;

/** Percent → fraction. */
const fraction = (percent: number): number => percent / 100;

/** H0 without a margin bounds false aborts; `strict` asks for proof of the margin itself. */
const testedMargin = ({ strict }: Rules, margin: number): number => (strict ? fraction(margin) : 0);

function failedGate(rows: readonly RowEvidence[], rules: Rules): HarmGate {
  const { margin } = rules.gates.failed;
  const [closed, early] = [failedRows(rows), earlyRows(rows)];
  const tested = testedMargin(rules, margin);
  const e =
    (1 - EARLY_WEIGHT) * evidenceOf(logEvidence(closed, tested, harmFactors)) +
    EARLY_WEIGHT * evidenceOf(logEvidence(early, tested, harmFactors));
  // Before the first window has closed only the fast lane can tell.
  const isAboveMargin = [closed, early].some(
    (counts) => stratifiedDifference(counts) > fraction(margin),
  );
  const shown = sum(closed, 'candidate').n === 0 ? early : closed;
  return { name: 'failed', e, weight: FAILED_WEIGHT, isAboveMargin, ...sides(shown) };
}

function slowGate(rows: readonly RowEvidence[], rules: Rules): HarmGate {
  const { margin } = rules.gates.slow;
  const counts = slowRows(rows);
  const both = sides(counts.filter(isCompared));
  const isEnough = Math.min(both.stable.n, both.candidate.n) >= MIN_SLOW_TRIALS;
  const tested = testedMargin(rules, margin);
  const e = isEnough ? evidenceOf(logEvidence(counts, tested, harmFactors)) : NOTHING;
  const isAboveMargin = stratifiedDifference(counts) > fraction(margin);
  return { name: 'slow', e, weight: SLOW_WEIGHT, isAboveMargin, ...sides(counts) };
}

/** Callers are drawn as the shares promise: those that came, and those whose trial is closed. */
export function ratioGate(rows: readonly RowEvidence[]): GateView {
  const drawn = rows.map(({ hundredths, assigned }) => ({ hundredths, counts: assigned }));
  const closed = rows.map(({ hundredths, trials }) => ({ hundredths, counts: trials }));
  const log = Math.max(logRatioEvidence(drawn), logRatioEvidence(closed));
  const total = (arm: 'stable' | 'candidate') => ({
    n: drawn.reduce((all, { counts }) => all + counts[arm], 0),
    harmed: 0,
  });
  const both = { stable: total('stable'), candidate: total('candidate') };
  return { name: 'ratio', e: evidenceOf(log), ...both };
}

export interface Harm {
  readonly gates: readonly HarmGate[];
  /** Of all gates together; 1/alpha aborts. */
  readonly e: number;
  /** The gate that says most, if it is worse by more than its margin. */
  readonly worst: HarmGate | undefined;
}

export function harmOf(rows: readonly RowEvidence[], rules: Rules): Harm {
  const gates = [failedGate(rows, rules), slowGate(rows, rules)];
  const e = gates.reduce((total, gate) => total + gate.weight * gate.e, ABSENT_WEIGHT);
  const [worst] = gates
    .filter(({ isAboveMargin }) => isAboveMargin)
    .sort((one, other) => other.weight * other.e - one.weight * one.e);
  return { gates, e, worst };
}
