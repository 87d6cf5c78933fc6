import type { Cause } from './cause';
import { quoted, detail } from './cause';
import type { ObjectEvent } from '../cache/object-events';
import type { RawObject } from '../client/object-fields';
import { conditionOf, createdAt, transitionedAt, listAt, textAt } from '../client/object-fields';
import { entryOf } from '../../../../lib/spec/entry';

type Found = Pick<Cause, 'cause' | 'message'>;

/** Reasons of an ended pod, set by the kubelet or a node controller. */
const ENDED: Readonly<Record<string, Found>> = {
  Evicted: {
    cause: 'evicted',
    message: 'the node ran short of a resource and evicted the pod; set resources to its real use',
  },
  NodeLost: { cause: 'node-lost', message: 'its node does not answer; look at the node' },
  Preempting: { cause: 'preempted', message: 'a pod of higher priority took its place' },
  Shutdown: { cause: 'node-shutdown', message: 'its node was shut down' },
  NodeShutdown: { cause: 'node-shutdown', message: 'its node was shut down' },
  Terminated: { cause: 'node-shutdown', message: 'its node was shut down' },
};

/** Reasons for which a node refuses a scheduled pod (OutOfcpu, NodeAffinity, …). */
const REFUSED =
  /^OutOf|^NodeAffinity|^NodeName|^UnexpectedAdmissionError|^TopologyAffinityError|^PodOSNot/;

/** Reasons of the condition DisruptionTarget (KEP-3329). */
const DISRUPTED: Readonly<Record<string, Found>> = {
  EvictionByEvictionAPI: {
    cause: 'evicted',
    message: 'it was evicted, for example by the drain of a node; another pod replaces it',
  },
  PreemptionByScheduler: ENDED['Preempting'] as Found,
  DeletionByTaintManager: {
    cause: 'node-lost',
    message: 'its node got a taint it does not tolerate, or does not answer; look at the node',
  },
  DeletionByPodGC: { cause: 'node-lost', message: 'its node is gone' },
  TerminationByKubelet: ENDED['Evicted'] as Found,
};

function finishedCause(pod: RawObject): Found | undefined {
  const phase = textAt(pod, 'status', 'phase');
  if (phase !== 'Failed' && phase !== 'Succeeded') return undefined;
  const reason = textAt(pod, 'status', 'reason') ?? '';
  const words = detail(quoted(textAt(pod, 'status', 'message') ?? ''));
  const known = entryOf(ENDED, reason);
  if (known !== undefined) return { ...known, message: `${known.message}${words}` };
  if (!REFUSED.test(reason)) return undefined;
  const message = `the node refused it (${reason})${words}; another pod replaces it`;
  return { cause: 'node-refused', message };
}

/** The pod is ready by its last status, but the control plane no longer hears from its node. */
export function isNodeSilent(pod: RawObject): boolean {
  const containers = listAt(pod, 'status', 'containerStatuses');
  const gates = listAt(pod, 'spec', 'readinessGates');
  const ready = conditionOf(pod, 'Ready');
  const believed = conditionOf(pod, 'ContainersReady')?.['status'] === 'True';
  const allReady = containers.length > 0 && containers.every((one) => one['ready'] === true);
  return ready?.['status'] === 'False' && believed && allReady && gates.length === 0;
}

/**
 * Eviction under resource pressure. A server that exits well on SIGTERM leaves a pod in phase
 * `Succeeded` without a reason: then only the event shows the eviction.
 */
function evictedCause(noticed: readonly ObjectEvent[]): Cause | undefined {
  const found = noticed.find(({ reason }) => reason === 'Evicted');
  const known = ENDED['Evicted'];
  if (found === undefined || known === undefined) return undefined;
  const message = `${known.message}${detail(quoted(found.message))}`;
  return { cause: known.cause, message, since: found.first, failed: true };
}

/** The cause from a pod's node, or from an eviction. */
export function nodeCause(pod: RawObject, noticed: readonly ObjectEvent[]): Cause | undefined {
  const ready = transitionedAt(conditionOf(pod, 'Ready')) ?? createdAt(pod);
  const finished = finishedCause(pod);
  if (finished !== undefined) return { ...finished, since: ready, failed: true };
  const evicted = evictedCause(noticed);
  if (evicted !== undefined) return evicted;
  const target = conditionOf(pod, 'DisruptionTarget');
  if (target?.['status'] === 'True') {
    const found = entryOf(DISRUPTED, textAt(target, 'reason') ?? '');
    const since = transitionedAt(target) ?? ready;
    if (found !== undefined) return { ...found, since, failed: true };
  }
  const lost = noticed.find(({ reason }) => reason === 'NodeNotReady');
  const toldSince = lost !== undefined && lost.last >= ready;
  if (!isNodeSilent(pod) && !toldSince) return undefined;
  const node = textAt(pod, 'spec', 'nodeName');
  const message = `its node${node === undefined ? '' : ` ${node}`} does not answer; look at the node`;
  return { cause: 'node-lost', message, since: ready, failed: true };
}
