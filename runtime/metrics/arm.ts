import type { ArmStats } from '../core/load';
import type { Outcome, ShedReason } from '../core/outcome';
import type { ArmRecord } from '../core/snapshot';
import { MODEL_FAMILIES } from './families';
import type { MetricSet } from './set';
import { createSet } from './set';

const { batch: _batch, usage: _usage, ...ARM_FAMILIES } = MODEL_FAMILIES;

/** How a shadow's answer compared with the live one. */
export type ShadowResult = 'agree' | 'disagree' | 'failed' | 'dropped';

/** Statuses worth a series of their own; the others are counted by class, so that series stay few. */
const OWN_STATUSES = new Set([200, 499, 500, 502, 503, 504]);
/** While an arm rolls, the version before is still looked at. */
const MAX_VERSIONS = 2;
const TRACE_ID = /^[0-9a-f]{32}$/;

/** `404` → `4xx`, `503` → `503`. */
export function statusLabel(status: number): string {
  if (OWN_STATUSES.has(status)) return String(status);
  if (status >= 500) return '5xx';
  return status >= 400 ? '4xx' : '2xx';
}

interface Handle {
  readonly inc: (value?: number) => void;
}

/** The series of one arm. They go with it. */
export interface ArmMetrics {
  readonly set: MetricSet<typeof ARM_FAMILIES>;
  readonly onOutcome: (outcome: Outcome, traceId?: string) => void;
  readonly onShadow: (result: ShadowResult) => void;
  /** What is known of the arm now; shares in hundredths of a percent. */
  readonly observe: (record: ArmRecord, stats: ArmStats | undefined, hundredths: number) => void;
}

export function createArmMetrics(model: string, arm: string): ArmMetrics {
  const set = createSet(ARM_FAMILIES);
  const labels = { model_id: model, arm };
  // Child handles: labels are hashed once, not with every request.
  const duration = set.duration.labels(labels);
  const firstByte = set.firstByte.labels(labels);
  const retries = set.retries.labels(labels);
  const ejections = set.ejections.labels(labels);
  retries.inc(0);
  ejections.inc(0);
  const shed = new Map<ShedReason, Handle>();
  const versions = new Map<string, Map<string, Handle>>();
  let ejectedUntil = new Map<string, number>();

  function forgetOldest(): void {
    const [version] = versions.keys();
    if (version === undefined || versions.size <= MAX_VERSIONS) return;
    for (const status of versions.get(version)?.keys() ?? []) {
      set.requests.remove({ ...labels, version, status });
    }
    versions.delete(version);
  }
  function requests(version: string, status: string): Handle {
    let statuses = versions.get(version);
    if (statuses === undefined) {
      statuses = new Map();
      versions.set(version, statuses);
      forgetOldest();
    }
    let handle = statuses.get(status);
    if (handle === undefined) {
      handle = set.requests.labels({ ...labels, version, status });
      statuses.set(status, handle);
    }
    return handle;
  }
  function shedBy(reason: ShedReason): Handle {
    const handle = shed.get(reason) ?? set.shed.labels({ ...labels, reason });
    shed.set(reason, handle);
    return handle;
  }
  /** The trace of a slow request is what one looks for; only well-formed ids get in. */
  function observeDuration(seconds: number, traceId: string | undefined): void {
    if (traceId === undefined || !TRACE_ID.test(traceId)) duration.observe(seconds);
    else set.duration.observe({ labels, value: seconds, exemplarLabels: { trace_id: traceId } });
  }
  /** The router counts by itself; its count is taken over as it is. */
  function observeSpilled(stats: ArmStats | undefined): void {
    for (const [reason, count] of Object.entries(stats?.spilled ?? {})) {
      set.spilled.remove({ ...labels, reason });
      set.spilled.inc({ ...labels, reason }, count);
    }
  }
  function countEjections(stats: ArmStats | undefined, fresh: number): void {
    if (stats?.ejections === undefined) {
      ejections.inc(fresh);
      return;
    }
    set.ejections.reset();
    set.ejections.inc(labels, stats.ejections);
  }
  function observeReplicas(stats: ArmStats | undefined): void {
    const out = (stats?.replicas ?? []).flatMap(({ id, ejectedUntil: until }) =>
      until === undefined ? [] : [[id, until] as const],
    );
    const fresh = out.filter(([id, until]) => until > (ejectedUntil.get(id) ?? 0));
    countEjections(stats, fresh.length);
    ejectedUntil = new Map(out);
    set.ejected.set(labels, out.length);
  }

  return {
    set,
    onOutcome: (outcome, traceId) => {
      requests(outcome.version, statusLabel(outcome.status)).inc();
      observeDuration(outcome.durationMs / 1000, traceId);
      if (outcome.firstByteMs !== undefined) firstByte.observe(outcome.firstByteMs / 1000);
      if (outcome.tries > 1) retries.inc(outcome.tries - 1);
      if (outcome.shed !== undefined) shedBy(outcome.shed).inc();
    },
    onShadow: (result) => set.shadow.inc({ ...labels, result }),
    observe: (record, stats, hundredths) => {
      // A series that starts at 0 lets rate() see the first request.
      requests(record.version, '200').inc(0);
      set.health.set(labels, record.ready > 0 || record.desired === 0 ? 1 : 0);
      set.queue.set(labels, stats?.queued ?? 0);
      set.inFlight.set(labels, stats?.inFlight ?? 0);
      set.split.set(labels, hundredths / 10_000);
      observeReplicas(stats);
      observeSpilled(stats);
    },
  };
}
