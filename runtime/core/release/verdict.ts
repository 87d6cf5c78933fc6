import type { Rollout } from '../../../lib/spec';
import type { RowEvidence } from './evidence';
import { evidenceOf, inferiorFactors, isCompared, logAbove, logEvidence } from './evidence';
import type { FailureCounts } from './failure-comparison';
import type { GateName, GateView, Harm } from './gates';
import { failedRows, harmOf, ratioGate } from './gates';
import { seconds, missingSeconds, missingTrials } from './outlook';

export type { GateView } from './gates';

/** What a verdict is made from. */
export interface RolloutView {
  readonly rollout: Rollout;
  /** Index of the step in force, and how long it is. */
  readonly step: number;
  readonly stepMs: number;
  readonly rows: readonly RowEvidence[];
  /** Requests of the last minute. */
  readonly recent: { readonly stable: FailureCounts; readonly candidate: FailureCounts };
  readonly seenCallers: number;
  readonly callersPerSecond: number;
  readonly candidate: {
    /** Why it cannot go on, whatever the evidence says. */
    readonly crash?: string | undefined;
    /** Share of the present load that its ready replicas can carry. */
    readonly carriesPercent: number;
  };
  /** Every router was heard within the last seconds. */
  readonly isComplete: boolean;
  /** As many failing callers as are remembered. */
  readonly isFull: boolean;
  /** A person keeps the step. */
  readonly held: boolean;
}

export interface Verdict {
  readonly do: 'advance' | 'hold' | 'pause' | 'abort' | 'done';
  readonly gate?: GateName | undefined;
  /** For people. */
  readonly reason: string;
  /** Evidence of harm; 1/alpha aborts. */
  readonly e: number;
  /** Seconds until there is enough at the present rate, median and 95th percentile. */
  readonly need?: { readonly p50: number; readonly p95: number } | undefined;
  /** Index of the next step. */
  readonly toStep?: number | undefined;
  readonly gates: readonly GateView[];
}

const ALL = 100;
/** Shares are hundredths of a percent. */
const HUNDREDTHS = 100;
/** A mismatch of drawn callers that is as sure as this blocks. */
const RATIO_BLOCKS = 1000;
/** A step that fewer callers would see tells nothing. */
const MIN_CALLERS = 10;
/** The guard outside of alpha. */
const GUARD = { requests: 20, failures: 0.5, stable: 0.05 } as const;

interface Judged {
  readonly view: RolloutView;
  readonly harm: Harm;
  readonly gates: readonly GateView[];
  readonly need: number;
}

const number = (value: number): string =>
  value >= 1000 ? value.toExponential(1) : String(Math.round(value * 10) / 10);

const points = (part: number): string => `${Math.round(part * 1000) / 10} %`;

const rateText = ({ n, harmed }: { readonly n: number; readonly harmed: number }): string =>
  `${harmed} of ${n}`;

const say = (
  { harm, gates }: Judged,
  what: Verdict['do'],
  reason: string,
  more: Pick<Verdict, 'gate' | 'need' | 'toStep'> = {},
): Verdict => ({ do: what, reason, e: harm.e, gates, ...more });

const shareAt = ({ rollout: { steps } }: RolloutView, step: number): number => steps[step] ?? ALL;

/**
 * Trials that count for the step: since the share rose to it, the candidate's. At 100 % all of the
 * rollout: callers enter once, and nearly all that come then have been counted before.
 */
function trialsOfStep(view: RolloutView): number {
  const below = view.step === 0 ? 0 : shareAt(view, view.step - 1) * HUNDREDTHS;
  return view.rows
    .filter(({ hundredths }) => hundredths > below || shareAt(view, view.step) >= ALL)
    .reduce((sum, { trials }) => sum + trials.candidate, 0);
}

/** Trials of stable in the whole rollout: a candidate is not compared with a few. */
const trialsOfStable = ({ rows }: RolloutView): number =>
  rows.reduce((sum, { trials }) => sum + trials.stable, 0);

function abortOf(judged: Judged): Verdict | undefined {
  const { view, harm, need } = judged;
  const { crash } = view.candidate;
  if (crash !== undefined) return say(judged, 'abort', crash, { gate: 'failed' });
  const { worst } = harm;
  if (harm.e >= need && worst !== undefined) {
    const { name, stable, candidate } = worst;
    const word = name === 'failed' ? 'failed' : 'were slow';
    const counts = `${rateText(candidate)} of the candidate ${word}, ${rateText(stable)} of stable`;
    return say(judged, 'abort', `${counts}; evidence ${number(harm.e)} of ${number(need)}`, {
      gate: name,
    });
  }
  return alone(judged);
}

/** At 100 % nothing is left to compare with: the candidate against a fixed rate. */
function alone(judged: Judged): Verdict | undefined {
  const { view, need } = judged;
  const rows = view.rows.filter((row) => !isCompared(row));
  const trials = rows.reduce((sum, row) => sum + row.trials.candidate, 0);
  const failed = rows.reduce((sum, row) => sum + row.failed.candidate, 0);
  if (trials === 0) return undefined;
  const stable = judged.gates.find(({ name }) => name === 'failed')?.stable;
  const before = stable === undefined || stable.n === 0 ? 0 : stable.harmed / stable.n;
  const { margin, absolute } = view.rollout.gates.failed;
  const allowed = absolute === undefined ? before + margin / ALL : absolute / ALL;
  const e = evidenceOf(logAbove(allowed, trials, failed));
  if (e < need) return undefined;
  const reason = `${failed} of ${trials} failed at 100 %, ${points(allowed)} are allowed; evidence ${number(e)}`;
  return { ...say(judged, 'abort', reason, { gate: 'failed' }), e };
}

function guardOf(judged: Judged): Verdict | undefined {
  const { stable, candidate } = judged.view.recent;
  if (candidate.requests < GUARD.requests || stable.requests === 0) return undefined;
  const failing = candidate.failures / candidate.requests >= GUARD.failures;
  if (!failing || stable.failures / stable.requests >= GUARD.stable) return undefined;
  const own = `${candidate.failures} of ${candidate.requests} requests of the candidate failed in the last minute`;
  const reason = `${own}, ${stable.failures} of ${stable.requests} of stable; a person decides`;
  return say(judged, 'pause', reason, { gate: 'failed' });
}

function blockOf(judged: Judged): Verdict | undefined {
  const { view, gates } = judged;
  if (!view.isComplete) return say(judged, 'hold', 'a router is silent; waiting for its counts');
  if (view.held) return say(judged, 'hold', 'held by hand; POST …/rollout/resume goes on');
  const ratio = gates.find(({ name }) => name === 'ratio');
  if (ratio === undefined || ratio.e < RATIO_BLOCKS) return undefined;
  const { stable, candidate } = ratio;
  const reason = `callers do not arrive as drawn: ${candidate.n} at the candidate, ${stable.n} at stable; find out which are lost before this goes on`;
  return say(judged, 'hold', reason, { gate: 'ratio' });
}

/** The next step that enough callers would see. */
function nextStep({ rollout, step, seenCallers }: RolloutView): number {
  const { steps, unit } = rollout;
  if (unit === 'request') return step + 1;
  const next = steps.findIndex(
    (percent, index) => index > step && (seenCallers * percent) / ALL >= MIN_CALLERS,
  );
  return next === -1 ? steps.length - 1 : next;
}

const minSecondsOf = ({ rollout, step }: RolloutView): number => {
  const { hold, minSeconds } = rollout;
  const own = hold?.at === rollout.steps[step] ? hold?.seconds : undefined;
  return Math.max(minSeconds, own ?? 0);
};

/** Trials of both arms per second at the present rate. */
const rateOf = ({ callersPerSecond }: RolloutView): number => callersPerSecond;

/** Before 100 % the candidate must be shown to be no worse: afterwards nothing can be compared. */
function nonInferiority(judged: Judged): Verdict | undefined {
  const { view, need } = judged;
  const { margin } = view.rollout.gates.failed;
  const rows = failedRows(view.rows);
  const log = logEvidence(rows, margin / ALL, inferiorFactors);
  if (evidenceOf(log) >= need) return undefined;
  const missing = missingTrials({
    logMissing: Math.log(need) - log,
    share: shareAt(view, view.step) / ALL,
    margin: margin / ALL,
    rows,
  });
  const rate = rateOf(view);
  const text = `not shown yet that the candidate is within ${margin} points of stable: evidence ${number(evidenceOf(log))} of ${number(need)}`;
  if (isOutOfReach(missing.p50, rate)) return unreachable(judged, missing.p50);
  const wait = missingSeconds(missing, rate);
  return say(judged, 'hold', `${text}; about ${seconds(wait.p50)}`, { gate: 'failed', need: wait });
}

function unreachable(judged: Judged, missing: number): Verdict {
  const { rollout, seenCallers } = judged.view;
  const { unit } = rollout;
  const advice = unit === 'caller' ? "unit: 'request', " : '';
  const reason = `unreachable: ${seenCallers} ${unit}s, about ${Math.round(missing)} more needed; a wider margin, ${advice}or POST …/rollout/advance`;
  return say(judged, 'hold', reason, { gate: 'failed' });
}

/** A longer wait for evidence is called out of reach. */
const UNREACHABLE_SECONDS = 30 * 86_400;

const isOutOfReach = (trials: number, rate: number): boolean =>
  rate <= 0 || trials / rate > UNREACHABLE_SECONDS;

/** Waits until both arms have the trials that the step asks for. */
function enoughTrials(judged: Judged): Verdict | undefined {
  const { view } = judged;
  const { rollout, step } = view;
  const trials = trialsOfStep(view);
  const share = shareAt(view, step) / ALL;
  const isAlone = share >= 1;
  const stable = isAlone ? rollout.minRequests : trialsOfStable(view);
  const missing = rollout.minRequests - trials;
  if (missing <= 0 && stable >= rollout.minRequests) return undefined;
  const full = view.isFull ? '; as many failing callers as are remembered: counting ended' : '';
  if (missing <= 0) {
    const reason = `${stable} of ${rollout.minRequests} trials of stable${full}`;
    return say(judged, 'hold', reason);
  }
  const rate = rateOf(view) * share;
  if (view.seenCallers > 0 && isOutOfReach(missing, rate)) {
    return unreachable(judged, missing / share);
  }
  const spread = 1.645 * Math.sqrt(missing);
  const need = rate > 0 ? missingSeconds({ p50: missing, p95: missing + spread }, rate) : undefined;
  const where = isAlone ? '' : ' at this step';
  const reason = `${trials} of ${rollout.minRequests} trials of the candidate${where}${full}`;
  return say(judged, 'hold', reason, { need });
}

function advanceOf(judged: Judged): Verdict {
  const { view } = judged;
  const { rollout, step, stepMs, candidate } = view;
  const fewTrials = enoughTrials(judged);
  if (fewTrials !== undefined) return fewTrials;
  const wait = minSecondsOf(view) - stepMs / 1000;
  const isLast = step >= rollout.steps.length - 1;
  if (wait > 0) {
    return say(judged, 'hold', `this step lasts ${seconds(wait)} longer`, {
      need: { p50: wait, p95: wait },
    });
  }
  if (isLast) return say(judged, 'done', 'all steps are done');
  const toStep = nextStep(view);
  const percent = shareAt(view, toStep);
  if (percent >= ALL) {
    const waiting = nonInferiority(judged);
    if (waiting !== undefined) return waiting;
  }
  if (candidate.carriesPercent < percent) {
    const reason = `the candidate carries at most ${candidate.carriesPercent} % with its ready replicas; wait for its autoscaler or raise its scaling`;
    return say(judged, 'hold', reason);
  }
  const skipped =
    toStep > step + 1 ? `, steps that fewer than ${MIN_CALLERS} callers see are passed over` : '';
  const reason = `no harm in ${trialsOfStep(view)} trials of the candidate; ${percent} % next${skipped}`;
  return say(judged, 'advance', reason, { toStep });
}

/** What to do now; the same view gives the same verdict. */
export function decideRollout(view: RolloutView): Verdict {
  const harm = harmOf(view.rows, view.rollout);
  const gates = [
    ...harm.gates.map(({ name, e, stable, candidate }) => ({ name, e, stable, candidate })),
    ratioGate(view.rows),
  ];
  const judged: Judged = { view, harm, gates, need: 1 / view.rollout.alpha };
  return abortOf(judged) ?? guardOf(judged) ?? blockOf(judged) ?? advanceOf(judged);
}
