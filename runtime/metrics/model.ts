import type { ArmStats, Load } from '../core/routing/load';
import type { ArmRecord, ModelRecord, ReplicaRecord } from '../core/lifecycle/snapshot';
import { overridesOf } from '../core/routing/build-table';
import type { RolloutState } from '../core/release/rollout-state';
import { rolloutStateOf } from '../core/release/rollout';
import type { ModelRoute } from '../core/routing/table';
import type { ArmCounts } from './arm';
import { createArmCounts } from './arm';
import type { Counts } from './counts';
import { createCounts } from './counts';
import { MODEL_FAMILIES } from './families';
import { sample } from '../shared/sample';
import { labelText } from './print';

/** What became of a batch: every item answered, some, or none. */
export type BatchStatus = 'success' | 'partial' | 'error';

/** Counters of one model and its arms. */
export interface ModelCounts {
  /** `model_id="…"` */
  readonly labels: string;
  readonly batch: Counts;
  readonly arms: Map<string, ArmCounts>;
}

export function createModelCounts(id: string): ModelCounts {
  return { labels: labelText({ model_id: id }), batch: createCounts('status'), arms: new Map() };
}

/** Arms come and go with the definition; so do their series. */
export function syncArms({ arms }: ModelCounts, { spec, arms: records }: ModelRecord): void {
  for (const name of arms.keys()) {
    if (!records.some((record) => record.name === name)) arms.delete(name);
  }
  for (const { name, version } of records) {
    const counts = arms.get(name) ?? createArmCounts(spec.id, name);
    arms.set(name, counts);
    counts.know(version);
  }
}

/** One arm at the moment of a scrape. */
interface ArmView {
  readonly counts: ArmCounts;
  readonly record: ArmRecord;
  readonly stats: ArmStats | undefined;
  /** Of live traffic, 0 to 1. */
  readonly share: number;
  /** Of the rollout of this arm. */
  readonly rollout: RolloutState | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly exemplars: boolean;
}

/** One model at the moment of a scrape. */
export interface ModelSamples {
  readonly counts: ModelCounts;
  readonly record: ModelRecord;
  readonly arms: readonly ArmView[];
  /** Of its promotion, without progress; seconds. Undefined: there is none. */
  readonly promotion: number | undefined;
}

/** Sources of a view beside counters and record. */
interface ViewSources {
  readonly route: ModelRoute | undefined;
  readonly load: Load;
  readonly promotion: number | undefined;
  readonly now: number;
  readonly exemplars: boolean;
}

export function viewOf(
  counts: ModelCounts,
  record: ModelRecord,
  { route, load, promotion, now, exemplars }: ViewSources,
): ModelSamples {
  const rollout = rolloutStateOf(record);
  const arms = record.arms.flatMap((arm): ArmView[] => {
    const own = counts.arms.get(arm.name);
    if (own === undefined) return [];
    const hundredths = route?.shares.find((one) => one.arm === arm.name)?.hundredths ?? 0;
    const stats = load.arm(record.spec.id, arm.name);
    const share = hundredths / 10_000;
    const state = rollout?.candidate === arm.name ? rollout : undefined;
    return [{ counts: own, record: arm, stats, share, rollout: state, now, exemplars }];
  });
  return { counts, record, arms, promotion };
}

type Usage = NonNullable<ReplicaRecord['usage']>;

/** What all replicas use together; undefined when no replica's use is known. */
export function usageOf(replicas: readonly ReplicaRecord[]): Usage | undefined {
  const known = replicas.flatMap((replica) => (replica.usage === undefined ? [] : [replica.usage]));
  if (known.length === 0) return undefined;
  return {
    cpuCores: known.reduce((sum, { cpuCores }) => sum + cpuCores, 0),
    memoryBytes: known.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0),
  };
}

function usageLines({ counts, record }: ModelSamples): string {
  const used = usageOf(record.replicas);
  const ready = record.replicas.filter(({ phase }) => phase === 'ready').length;
  const line = (resource: string, unit: string, value: number): string =>
    sample(
      MODEL_FAMILIES.usage.name,
      `${counts.labels},resource="${resource}",unit="${unit}"`,
      value,
    );
  const known =
    used === undefined
      ? ''
      : line('cpu', 'cores', used.cpuCores) + line('memory', 'bytes', used.memoryBytes);
  return line('replicas', 'count', ready) + known;
}

function promotionLine({ counts, record, promotion }: ModelSamples): string {
  const promote = overridesOf(record)?.promote;
  const arm = counts.arms.get(promote?.candidate ?? '');
  if (promote === undefined || arm === undefined || promotion === undefined) return '';
  const labels = `${arm.labels},phase="${promote.phase}"`;
  return sample(MODEL_FAMILIES.promotion.name, labels, promotion);
}

function spilledLines({ counts, stats }: ArmView): string {
  return Object.entries(stats?.spilled ?? {})
    .map(([reason, count]) =>
      sample(MODEL_FAMILIES.spilled.name, `${counts.labels},reason="${reason}"`, count),
    )
    .join('');
}

function replicaLines({ counts: { labels }, record: { desired, ready } }: ArmView): string {
  const { name } = MODEL_FAMILIES.replicas;
  return (
    sample(name, `${labels},state="desired"`, desired) +
    sample(name, `${labels},state="ready"`, ready)
  );
}

const isHealthy = ({ ready, desired }: ArmRecord): boolean => ready > 0 || desired === 0;

type Key = keyof typeof MODEL_FAMILIES;

/** A family with one sample for each arm. */
const perArm =
  (key: Key, value: (arm: ArmView) => number) =>
  (arm: ArmView): string =>
    sample(MODEL_FAMILIES[key].name, arm.counts.labels, value(arm));

/** Arms whose requests go alone have none of these series. */
const joinedLines =
  (key: Key, count: keyof ArmCounts['joined']) =>
  ({ counts: { labels, joined } }: ArmView): string =>
    joined.calls === 0 ? '' : sample(MODEL_FAMILIES[key].name, labels, joined[count]);

const ejectedOf = ({ stats }: ArmView): number =>
  stats?.replicas.filter(({ ejectedUntil }) => ejectedUntil !== undefined).length ?? 0;

function evidenceLines({ counts: { labels }, rollout }: ArmView): string {
  return (rollout?.verdict?.gates ?? [])
    .map(({ name, e }) =>
      sample(MODEL_FAMILIES.rolloutEvidence.name, `${labels},gate="${name}"`, e),
    )
    .join('');
}

function stepLines({ counts: { labels }, rollout, now }: ArmView): string {
  if (rollout === undefined) return '';
  const age = Math.max(0, now - rollout.since) / 1000;
  const { name } = MODEL_FAMILIES.rolloutStepSeconds;
  return sample(name, `${labels},phase="${rollout.phase}"`, age);
}

function verdictLines({ counts: { labels }, rollout }: ArmView): string {
  if (rollout?.verdict === undefined) return '';
  const verdict = `${labels},verdict="${rollout.verdict.do}"`;
  return sample(MODEL_FAMILIES.rolloutVerdict.name, verdict, 1);
}

const ARM_LINES: Readonly<
  Record<Exclude<Key, 'batch' | 'usage' | 'promotion'>, (arm: ArmView) => string>
> = {
  requests: ({ counts }) => counts.requestLines(),
  duration: ({ counts, exemplars }) => counts.duration.lines(counts.labels, exemplars),
  firstByte: ({ counts }) => counts.firstByte.lines(counts.labels, false),
  joinedCalls: joinedLines('joinedCalls', 'calls'),
  joinedRequests: joinedLines('joinedRequests', 'requests'),
  joinedUndone: joinedLines('joinedUndone', 'undone'),
  // Hardly any arm has it.
  joinedDifferent: (arm) =>
    arm.counts.joined.different === 0 ? '' : joinedLines('joinedDifferent', 'different')(arm),
  broken: ({ counts }) => counts.brokenLines(),
  shadow: ({ counts }) => counts.shadow.lines(MODEL_FAMILIES.shadow.name, counts.labels),
  shed: ({ counts }) => counts.shed.lines(MODEL_FAMILIES.shed.name, counts.labels),
  retries: perArm('retries', ({ counts }) => counts.retries()),
  spilled: spilledLines,
  ejections: perArm('ejections', ({ stats }) => stats?.ejections ?? 0),
  poisoned: perArm('poisoned', ({ stats }) => stats?.poisoned ?? 0),
  ejected: perArm('ejected', ejectedOf),
  queue: perArm('queue', ({ stats }) => stats?.queued ?? 0),
  inFlight: perArm('inFlight', ({ stats }) => stats?.inFlight ?? 0),
  health: perArm('health', ({ record }) => (isHealthy(record) ? 1 : 0)),
  replicas: replicaLines,
  split: perArm('split', ({ share }) => share),
  rolloutStep: ({ counts: { labels }, rollout }) =>
    rollout === undefined ? '' : sample(MODEL_FAMILIES.rolloutStep.name, labels, rollout.step + 1),
  rolloutStepSeconds: stepLines,
  rolloutEvidence: evidenceLines,
  rolloutVerdict: verdictLines,
};

/** All samples of one family for one model. */
export function modelLines(key: Key, view: ModelSamples): string {
  if (key === 'batch')
    return view.counts.batch.lines(MODEL_FAMILIES.batch.name, view.counts.labels);
  if (key === 'usage') return usageLines(view);
  if (key === 'promotion') return promotionLine(view);
  return view.arms.map(ARM_LINES[key]).join('');
}
