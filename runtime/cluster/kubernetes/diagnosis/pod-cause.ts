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

/** Kubelet's events of what comes before any container: volumes, then the sandbox with its network. */
const BEFORE_CONTAINERS: Readonly<Record<string, string>> = {
  FailedMount: 'volume-failed',
  FailedAttachVolume: 'volume-failed',
  FailedMapVolume: 'volume-failed',
  FailedCreatePodSandBox: 'sandbox-failed',
};

/** No container has got anywhere yet, so that an event about what comes before is still true. */
function isBefore(pod: RawObject): boolean {
  const ready = conditionOf(pod, 'PodReadyToStartContainers');
  if (ready !== undefined) return ready['status'] !== 'True';
  // Before 1.29 there is no such condition.
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
  // A sandbox that failed is tried again and mostly comes; what a volume shows is not there.
  return { ...known, since: found.first, failed: found.reason === 'FailedMount' };
}

/**
 * What keeps a pod from serving: the most specific thing that is known, from the first sign of it.
 * Undefined for one that serves, and for one that is on its way with nothing the matter.
 * @param noticed about this pod, latest first
 */
export function podCause(pod: RawObject, noticed: readonly ObjectEvent[]): Cause | undefined {
  const node = nodeCause(pod, noticed);
  if (node !== undefined) return node;
  // What was the matter with a replica that goes is over with it.
  if (textAt(pod, 'metadata', 'deletionTimestamp') !== undefined) return undefined;
  if (conditionOf(pod, 'Ready')?.['status'] === 'True') return undefined;
  return schedulingCause(pod, noticed) ?? containersCause(pod, noticed) ?? setupCause(pod, noticed);
}
