import type { ByArm, RowEvidence } from './evidence';
import type { FailureCounts } from './failure-comparison';
import type { FailingHash, RolloutCounts, RouterCounts } from './rollout-state';

/** Most failing callers of one rollout over all routers, both arms together. */
const MAX_FAILING = 512;
/** Runs of routers that are kept apart; the oldest of more are added up. */
const MAX_BOOTS = 8;
/** The sum of routers that are gone. */
const GONE = 'gone';

const addArms = (one: ByArm, other: ByArm): ByArm => ({
  stable: one.stable + other.stable,
  candidate: one.candidate + other.candidate,
});

function addRows(one: RowEvidence, other: RowEvidence): RowEvidence {
  return {
    hundredths: one.hundredths,
    trials: addArms(one.trials, other.trials),
    failed: addArms(one.failed, other.failed),
    early: {
      trials: addArms(one.early.trials, other.early.trials),
      failed: addArms(one.early.failed, other.early.failed),
    },
    slow: {
      trials: addArms(one.slow.trials, other.slow.trials),
      harmed: addArms(one.slow.harmed, other.slow.harmed),
    },
    assigned: addArms(one.assigned, other.assigned),
  };
}

/** Counts of equal shares add, which is the same as adding their evidence; others stay apart. */
function sumOfRows(rows: readonly RowEvidence[]): readonly RowEvidence[] {
  const sums = new Map<number, RowEvidence>();
  for (const row of rows) {
    const sum = sums.get(row.hundredths);
    sums.set(row.hundredths, sum === undefined ? row : addRows(sum, row));
  }
  return [...sums.values()];
}

/** A caller that failed at several routers is one failing caller. */
function withoutRepeated(
  rows: readonly RowEvidence[],
  repeated: readonly FailingHash[],
): readonly RowEvidence[] {
  if (repeated.length === 0) return rows;
  return rows.map((row) => {
    const own = repeated.filter(({ hundredths }) => hundredths === row.hundredths);
    const less = (arm: keyof ByArm): number =>
      Math.max(0, row.failed[arm] - own.filter((one) => one.arm === arm).length);
    return { ...row, failed: { stable: less('stable'), candidate: less('candidate') } };
  });
}

const addFailures = (one: FailureCounts, other: FailureCounts): FailureCounts => ({
  requests: one.requests + other.requests,
  failures: one.failures + other.failures,
});

type FirstBytes = RolloutCounts['recent']['firstBytes'];

/** The percentiles of routers, weighted by their requests: they serve the same replicas. */
function addFirstBytes(one: FirstBytes, other: FirstBytes): FirstBytes {
  const requests = one.requests + other.requests;
  const weighted = one.requests * (one.p95Ms ?? 0) + other.requests * (other.p95Ms ?? 0);
  const p95Ms = requests === 0 ? undefined : weighted / requests;
  return { requests, slow: one.slow + other.slow, p95Ms };
}

/** The counts of all routers, as one. `undefined`: there are none. */
export function totalOf(all: readonly RolloutCounts[]): RolloutCounts | undefined {
  const [first] = all;
  if (first === undefined) return undefined;
  const failing = new Map<number, FailingHash>();
  const repeated: FailingHash[] = [];
  for (const one of all.flatMap((counts) => counts.failing)) {
    if (failing.has(one.hash)) repeated.push(one);
    else failing.set(one.hash, one);
  }
  const sum = (value: (counts: RolloutCounts) => number): number =>
    all.reduce((total, counts) => total + value(counts), 0);
  const recents = all.map(({ recent }) => recent);
  return {
    model: first.model,
    rollout: first.rollout,
    rows: withoutRepeated(sumOfRows(all.flatMap(({ rows }) => rows)), repeated),
    failing: [...failing.values()],
    isFull: all.some(({ isFull }) => isFull) || failing.size >= MAX_FAILING,
    seenCallers: sum(({ seenCallers }) => seenCallers),
    unnamed: sum(({ unnamed }) => unnamed),
    recent: {
      stable: recents.map(({ stable }) => stable).reduce(addFailures),
      candidate: recents.map(({ candidate }) => candidate).reduce(addFailures),
      firstBytes: recents.map(({ firstBytes }) => firstBytes).reduce(addFirstBytes),
    },
  };
}

const NO_FAILURES: FailureCounts = { requests: 0, failures: 0 };

/** What counts of a router that may be gone: what it counted, not its last minute. */
const settled = (counts: RolloutCounts): RolloutCounts => ({
  ...counts,
  recent: {
    stable: NO_FAILURES,
    candidate: NO_FAILURES,
    firstBytes: { requests: 0, slow: 0 },
  },
});

/**
 * The newest counts of every run of a router: `known` ones, replaced by what is heard now. Of more
 * than 8 the first are added up.
 */
export function newestCounts(
  known: readonly RouterCounts[],
  heard: readonly RouterCounts[],
): readonly RouterCounts[] {
  const now = new Set(heard.map(({ boot }) => boot));
  const silent = known
    .filter(({ boot }) => !now.has(boot))
    .map(({ boot, counts }) => ({ boot, counts: settled(counts) }));
  const over = silent.length + heard.length - MAX_BOOTS;
  if (over <= 0) return [...silent, ...heard];
  const old = silent.slice(0, over + 1);
  const gone = totalOf(old.map(({ counts }) => counts));
  const sum = gone === undefined ? [] : [{ boot: GONE, counts: gone }];
  return [...sum, ...silent.slice(over + 1), ...heard];
}
