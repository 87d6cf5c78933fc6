import type { ShadowReport } from '../data';
import type { BatchReport } from '../data';
import type { Log } from '../shared/log';

/** Counts batched calls, and logs when an arm's rows turn out to depend on each other. */
export function reportBatchedCalls(
  count: (joined: BatchReport) => void,
  log: Pick<Log, 'warn'>,
): (joined: BatchReport) => void {
  return (joined) => {
    count(joined);
    if (joined.compared !== 'different') return;
    const { model, arm } = joined;
    log.warn(
      'batching has ended for this version: a request got another answer in a batch than alone',
      { model, arm },
    );
  };
}

/** At most one log line per arm in this time, milliseconds. */
export const SAMPLE_MS = 10_000;

interface Sampled {
  readonly at: number;
  /** Disagreements that were not logged. */
  silent: number;
}

/**
 * Counts shadow results and logs a sample of disagreements: the first of each arm, then at most one
 * per `sampleMs`, with the number since the last line (`disagreed`).
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
