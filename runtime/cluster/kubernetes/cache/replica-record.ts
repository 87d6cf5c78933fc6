import { ARM_LABEL, SERVER_CONTAINER } from '../../../../lib/objects';
import type { Arm } from '../../../../lib/spec';
import { serverFacts, versionLabel } from '../../../../lib/spec';
import type { ReplicaPhase, ReplicaRecord } from '../../port';
import type { Cause } from '../diagnosis/cause';
import { whyOf } from '../diagnosis/cause';
import { isNodeSilent } from '../diagnosis/node-cause';
import type { RawObject } from '../client/object-fields';
import {
  conditionOf,
  createdAt,
  transitionedAt,
  labelOf,
  listAt,
  nameOf,
  numberAt,
} from '../client/object-fields';
import { at, textAt, timeAt } from '../client/object-fields';
import { entryOf } from '../../../../lib/spec/entry';

const VERSION_LABEL = 'app.kubernetes.io/version';

export const isTerminating = (pod: RawObject): boolean =>
  textAt(pod, 'metadata', 'deletionTimestamp') !== undefined;

/** The pod has ended for good; its controller replaces it. */
export function isFinished(pod: RawObject): boolean {
  const phase = textAt(pod, 'status', 'phase');
  return phase === 'Failed' || phase === 'Succeeded';
}

function isReachable(pod: RawObject): boolean {
  const address = textAt(pod, 'status', 'podIP') !== undefined;
  return address && !isTerminating(pod) && !isFinished(pod);
}

/** A replica can be routed to when it is ready, not terminating, and has an address. */
export function isReady(pod: RawObject): boolean {
  return conditionOf(pod, 'Ready')?.['status'] === 'True' && isReachable(pod);
}

function phaseOf(pod: RawObject, failed: boolean): ReplicaPhase {
  if (isTerminating(pod)) return 'terminating';
  if (isReady(pod)) return 'ready';
  return failed || isFinished(pod) ? 'failed' : 'starting';
}

/** Pods of an earlier revision may have another port, so it is read from each pod. */
function portOf(pod: RawObject, arm: Arm | undefined): number {
  const server = listAt(pod, 'spec', 'containers').find((one) => one['name'] === SERVER_CONTAINER);
  const http = listAt(server, 'ports').find((one) => one['name'] === 'http');
  const told = numberAt(http, 'containerPort');
  return told ?? (arm === undefined ? 0 : serverFacts(arm.server, undefined).httpPort);
}

/** A label cannot hold every version: `v1+gpu` becomes `v1_gpu`. */
function versionOf(pod: RawObject, arm: Arm | undefined): string {
  const label = labelOf(pod, VERSION_LABEL) ?? '';
  return arm !== undefined && versionLabel(arm.version) === label ? arm.version : label;
}

function restartsOf(pod: RawObject): number {
  return ['initContainerStatuses', 'containerStatuses']
    .flatMap((field) => listAt(pod, 'status', field))
    .reduce((sum, status) => sum + (numberAt(status, 'restartCount') ?? 0), 0);
}

/**
 * Time at which a replica entered its phase. `deletionTimestamp` is the end of its grace period.
 */
function sinceOf(pod: RawObject): number {
  const end = timeAt(pod, 'metadata', 'deletionTimestamp');
  const grace = numberAt(pod, 'metadata', 'deletionGracePeriodSeconds') ?? 0;
  if (end !== undefined) return end - grace * 1000;
  return transitionedAt(conditionOf(pod, 'Ready')) ?? createdAt(pod);
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
};

/** Metrics have small units, such as `12345n`. */
function measure(value: unknown): number {
  const [, digits, unit = ''] = /^([0-9.]+)([a-zA-Z]*)$/.exec(String(value)) ?? [];
  return digits === undefined ? 0 : Number(digits) * (entryOf(UNITS, unit) ?? 0);
}

/** Usage of a pod by PodMetrics, over its containers. */
function usageOf(metrics: RawObject | undefined): ReplicaRecord['usage'] {
  const containers = listAt(metrics, 'containers');
  if (containers.length === 0) return undefined;
  const sum = (resource: string): number =>
    containers.reduce((all, one) => all + measure(at(one, 'usage', resource)), 0);
  return { cpuCores: sum('cpu'), memoryBytes: sum('memory') };
}

export interface ReplicaContext {
  /** The arm of the pod; undefined when the definition no longer has it. */
  readonly arm: Arm | undefined;
  readonly cause: Cause | undefined;
  /** The Deployment exceeded its progress deadline: pods that are not ready have failed. */
  readonly late: boolean;
  /** PodMetrics of the pod. */
  readonly metrics: RawObject | undefined;
}

export function replicaOf(
  pod: RawObject,
  { arm, cause, late, metrics }: ReplicaContext,
): ReplicaRecord {
  const usage = usageOf(metrics);
  const version = versionOf(pod, arm);
  const tooLate = late && version === arm?.version;
  const phase = phaseOf(pod, cause?.failed === true || tooLate);
  return {
    id: textAt(pod, 'metadata', 'uid') ?? nameOf(pod),
    arm: labelOf(pod, ARM_LABEL) ?? '',
    version,
    host: textAt(pod, 'status', 'podIP') ?? '',
    port: portOf(pod, arm),
    phase,
    ...(isReachable(pod) && isNodeSilent(pod) && { isNodeSilent: true }),
    restarts: restartsOf(pod),
    since: sinceOf(pod),
    ...(cause !== undefined && { why: whyOf(cause, `Pod/${nameOf(pod)}`) }),
    ...(usage !== undefined && { usage }),
  };
}
