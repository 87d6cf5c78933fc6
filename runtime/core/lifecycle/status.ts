import { overridesOf } from '../routing/build-table';
import type { ArmRecord, ModelRecord, ReplicaRecord, Why } from './snapshot';

export type ModelStatus =
  | 'pending'
  | 'deploying'
  | 'running'
  | 'updating'
  | 'scaling'
  | 'failed'
  | 'terminating'
  | 'stopped';

export interface StatusSummary {
  readonly status: ModelStatus;
  /** Would a request be answered now? A model that sleeps until it is called counts as serving. */
  readonly serving: boolean;
  /** The most specific cause found, stable's before a candidate's. */
  readonly why?: Why;
}

const MOST_TELLING: readonly ReplicaRecord['phase'][] = [
  'failed',
  'starting',
  'ready',
  'terminating',
];

/** Prefers replicas over their arm, failed ones over starting ones, then the latest. */
function whyOf(record: ModelRecord, arm: ArmRecord): Why | undefined {
  const told = record.replicas
    .filter((replica) => replica.arm === arm.name && replica.why !== undefined)
    .sort(
      (a, b) => MOST_TELLING.indexOf(a.phase) - MOST_TELLING.indexOf(b.phase) || b.since - a.since,
    );
  return told[0]?.why ?? arm.why;
}

/** Has a replica of the desired version failed? Old replicas that terminate do not count. */
function newestFailed(record: ModelRecord, arm: ArmRecord): boolean {
  return record.replicas.some(
    (replica) =>
      replica.arm === arm.name && replica.version === arm.version && replica.phase === 'failed',
  );
}

const isRolling = ({ current, updated }: ArmRecord): boolean => updated < current;

const isScaling = ({ current, ready, desired }: ArmRecord): boolean =>
  current !== desired || ready < desired;

/** Scaled to zero until it is called; a replica may still be terminating. */
const isAsleep = ({ desired }: ArmRecord): boolean => desired === 0;

/** A cause alone is not a failure: a replica that still loads its model has one too. */
function hasFailed(record: ModelRecord, arm: ArmRecord): boolean {
  const broken = newestFailed(record, arm);
  if (arm.ready > 0) return (broken || arm.why !== undefined) && isRolling(arm);
  return arm.desired > 0 && (broken || arm.why !== undefined);
}

function stableStatus(record: ModelRecord, stable: ArmRecord): ModelStatus {
  if (hasFailed(record, stable)) return 'failed';
  if (isRolling(stable)) return 'updating';
  if (isAsleep(stable)) return stable.current === 0 ? 'running' : 'scaling';
  if (stable.ready === 0) {
    const begun = stable.current > 0 || record.replicas.some(({ arm }) => arm === stable.name);
    return begun ? 'deploying' : 'pending';
  }
  return isScaling(stable) ? 'scaling' : 'running';
}

/**
 * Derives the status of a model. `failed`: no replica of stable is ready and a cause is known, or
 * its new version does not start (the old one may still serve). A missing candidate is an update.
 */
export function statusOf(record: ModelRecord): StatusSummary {
  const [stable, ...rest] = record.arms;
  const ready = record.arms.some((arm) => arm.ready > 0);
  if (stable === undefined) {
    return { status: record.deleting ? 'terminating' : 'pending', serving: false };
  }
  const why = whyOf(record, stable);
  const told = why ?? rest.map((arm) => whyOf(record, arm)).find((found) => found !== undefined);
  const because = told === undefined ? {} : { why: told };
  if (record.deleting) return { status: 'terminating', serving: ready, ...because };
  if (overridesOf(record)?.stopped === true) return { status: 'stopped', serving: false };
  const serving = stable.ready > 0 || isAsleep(stable);
  const status = stableStatus(record, stable);
  const changing = rest.some((arm) => isRolling(arm) || isScaling(arm));
  return { status: status === 'running' && changing ? 'updating' : status, serving, ...because };
}
