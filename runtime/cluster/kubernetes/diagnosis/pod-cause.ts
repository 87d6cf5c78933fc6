import type { Cause } from './cause';
import { quoted } from './cause';
import type { ObjectEvent } from '../cache/object-events';
import type { RawObject } from '../client/object-fields';
import { conditionOf, listAt, textAt } from '../client/object-fields';
import { tryConfigCause } from './config-cause';
import { containersCause } from './container-cause';
import { nodeCause } from './node-cause';
import { schedulingCause } from './scheduling-cause';
import { entryOf } from '../../../../lib/spec/entry';

/** Kubelet's events before any container starts: volumes, then the sandbox with its network. */
const BEFORE_CONTAINERS: Readonly<Record<string, string>> = {
  FailedMount: 'volume-failed',
  FailedAttachVolume: 'volume-failed',
  FailedMapVolume: 'volume-failed',
  FailedCreatePodSandBox: 'sandbox-failed',
};

/** No container has been created yet, so an event about volumes or the sandbox still holds. */
function isBefore(pod: RawObject): boolean {
  const ready = conditionOf(pod, 'PodReadyToStartContainers');
  if (ready !== undefined) return ready['status'] !== 'True';
  // The condition exists since 1.29.
  const all = ['initContainerStatuses', 'containerStatuses'].flatMap((field) =>
    listAt(pod, 'status', field),
  );
  return all.every(({ state }) => JSON.stringify(state ?? {}).includes('waiting'));
}

function setupCause(pod: RawObject, noticed: readonly ObjectEvent[]): Cause | undefined {
  if (!isBefore(pod)) return undefined;
  const found = noticed.find(({ reason }) => entryOf(BEFORE_CONTAINERS, reason) !== undefined);
  if (found === undefined) return undefined;
  const known = tryConfigCause(found.message) ?? {
    cause: entryOf(BEFORE_CONTAINERS, found.reason) ?? 'volume-failed',
    message: `the pod cannot be set up: ${quoted(found.message)}; look at its volumes and its node`,
  };
  // A failed sandbox is retried and mostly succeeds; a missing object of a volume does not appear.
  return { ...known, since: found.first, failed: found.reason === 'FailedMount' };
}

/**
 * The cause that keeps a pod from serving: the most specific one, from its first sign. Undefined
 * for a pod that serves, or that is starting normally.
 * @param noticed events about this pod, latest first
 */
export function podCause(pod: RawObject, noticed: readonly ObjectEvent[]): Cause | undefined {
  const node = nodeCause(pod, noticed);
  if (node !== undefined) return node;
  // A terminating replica has no cause any more.
  if (textAt(pod, 'metadata', 'deletionTimestamp') !== undefined) return undefined;
  if (conditionOf(pod, 'Ready')?.['status'] === 'True') return undefined;
  return schedulingCause(pod, noticed) ?? containersCause(pod, noticed) ?? setupCause(pod, noticed);
}
