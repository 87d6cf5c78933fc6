import type { ShadowReport } from '../data';
import type { BatchReport } from '../data';
import type { Log } from '../shared/log';

/** Counts joined calls, and says which arm’s requests go alone from now on, since rows depend on others. */
export function reportBatchedCalls(
  count: (joined: BatchReport) => void,
  log: Pick<Log, 'warn'>,
): (joined: BatchReport) => void {
  return (joined) => {
    count(joined);
    if (joined.compared !== 'different') return;
    const { model, arm } = joined;
    log.warn('requests are not joined any more: one got another answer than alone', { model, arm });
  };
}

/** One line in so long for an arm: a shadow that is always wrong fills no log. */
export const SAMPLE_MS = 10_000;

interface Sampled {
  readonly at: number;
  /** Disagreements that left no line. */
  silent: number;
}

/**
 * Counts what became of copies, and lets a sample of disagreements be seen: the first of each arm,
 * then one in `sampleMs` at most, with how many there were since (`disagreed`).
 */
export function reportShadows(
  count: (model: string, arm: string, verdict: ShadowReport['verdict']) => void,
  log: Pick<Log, 'info'>,
  now: () => number,
  sampleMs = SAMPLE_MS,
): (report: ShadowReport) => void {
  const arms = new Map<string, Sampled>();
  return ({ model, arm, verdict, requestId, differing }) => {
    count(model, arm, verdict);
    if (verdict !== 'disagree') return;
    const key = `${model}\0${arm}`;
    const last = arms.get(key);
    if (last !== undefined && now() - last.at < sampleMs) {
      last.silent += 1;
      return;
    }
    arms.set(key, { at: now(), silent: 0 });
    const disagreed = 1 + (last?.silent ?? 0);
    log.info('shadow disagrees', { model, arm, requestId, differing, disagreed });
  };
}
