import type { BrokenAnswer, Outcome } from '../core/routing/outcome';
import type { Counts } from './counts';
import { createCounts } from './counts';
import { MODEL_FAMILIES } from './families';
import type { Histogram } from '../shared/histogram';
import { createHistogram } from '../shared/histogram';
import { labelText } from './print';

/** Comparison of a shadow's answer with the live one. */
export type ShadowResult = 'agree' | 'disagree' | 'failed' | 'dropped';

/** Statuses worth a series of their own; the others are counted by class, so that series stay few. */
const OWN_STATUSES = new Set([200, 499, 500, 502, 503, 504]);
/** During a rollout the previous version keeps its series. */
const MAX_VERSIONS = 2;

/** `404` → `4xx`, `503` → `503`. */
function statusLabel(status: number): string {
  if (OWN_STATUSES.has(status)) return String(status);
  if (status >= 500) return '5xx';
  return status >= 400 ? '4xx' : '2xx';
}

/** Result of a batched call. */
export interface BatchedCallResult {
  readonly requests: number;
  readonly isUndone: boolean;
  readonly compared?: 'same' | 'different' | undefined;
}

interface JoinedCounts {
  calls: number;
  requests: number;
  undone: number;
  different: number;
}

/** Counters of one arm; removed with the arm. */
export interface ArmCounts {
  /** `model_id="…",arm="…"` */
  readonly labels: string;
  readonly duration: Histogram;
  readonly firstByte: Histogram;
  readonly shed: Counts;
  readonly shadow: Counts;
  readonly retries: () => number;
  readonly joined: JoinedCounts;
  readonly onOutcome: (outcome: Outcome, traceId?: string) => void;
  /** Counts a version from 0, so that rate() sees its first request. */
  readonly know: (version: string) => void;
  readonly onJoined: (joined: BatchedCallResult) => void;
  readonly requestLines: () => string;
  readonly brokenLines: () => string;
}

function countJoined(
  counts: JoinedCounts,
  { requests, isUndone, compared }: BatchedCallResult,
): void {
  counts.calls += 1;
  counts.requests += requests;
  if (isUndone) counts.undone += 1;
  if (compared === 'different') counts.different += 1;
}

/** Counts of answers that broke off, by kind and by who ended them: four series at most. */
function brokenCounts(labels: string) {
  const kinds = { answer: createCounts('by'), stream: createCounts('by') };
  return {
    add: ({ kind, by }: BrokenAnswer): void => kinds[kind].add(by),
    lines: (): string =>
      (['answer', 'stream'] as const)
        .map((kind) => kinds[kind].lines(MODEL_FAMILIES.broken.name, `${labels},kind="${kind}"`))
        .join(''),
  };
}

export function createArmCounts(model: string, arm: string): ArmCounts {
  const labels = labelText({ model_id: model, arm });
  const duration = createHistogram(MODEL_FAMILIES.duration);
  const firstByte = createHistogram(MODEL_FAMILIES.firstByte);
  const shed = createCounts('reason');
  const shadow = createCounts('result');
  const broken = brokenCounts(labels);
  const versions = new Map<string, Counts>();
  const joined: JoinedCounts = { calls: 0, requests: 0, undone: 0, different: 0 };
  let retries = 0;

  function requests(version: string): Counts {
    const found = versions.get(version);
    if (found !== undefined) return found;
    const made = createCounts('status');
    versions.set(version, made);
    const [oldest] = versions.keys();
    if (versions.size > MAX_VERSIONS && oldest !== undefined) versions.delete(oldest);
    return made;
  }
  return {
    labels,
    duration,
    firstByte,
    shed,
    shadow,
    retries: () => retries,
    joined,
    onJoined: (one) => countJoined(joined, one),
    onOutcome: (one, traceId) => {
      const { version, status, durationMs, firstByteMs, tries, shed: reason } = one;
      requests(version).add(statusLabel(status));
      duration.observe(durationMs / 1000, traceId);
      if (firstByteMs !== undefined) firstByte.observe(firstByteMs / 1000);
      if (tries > 1) retries += tries - 1;
      if (reason !== undefined) shed.add(reason);
      if (one.broken !== undefined) broken.add(one.broken);
    },
    brokenLines: broken.lines,
    know: (version) => requests(version).add('200', 0),
    requestLines: () => {
      let text = '';
      for (const [version, counts] of versions) {
        const own = `${labels},${labelText({ version })}`;
        text += counts.lines(MODEL_FAMILIES.requests.name, own);
      }
      return text;
    },
  };
}
