import type { Cause } from './cause';
import { quoted } from './cause';
import type { ObjectEvent } from '../cache/object-events';
import type { RawObject } from '../client/object-fields';
import {
  at,
  conditionOf,
  createdAt,
  transitionedAt,
  listAt,
  textAt,
} from '../client/object-fields';

/** A node autoscaler has seen the pod and adds a node. */
const NODE_IS_COMING: ReadonlySet<string> = new Set(['TriggeredScaleUp', 'Nominated']);

/** Request of one replica for a resource, over its containers. */
function askedFor(pod: RawObject, resource: string): string {
  const asked = listAt(pod, 'spec', 'containers')
    .map((container) => at(container, 'resources', 'requests', resource))
    .filter((one) => typeof one === 'string' || typeof one === 'number');
  return asked.length === 0 ? '' : ` (a replica asks for ${asked.join(' + ')})`;
}

const SELECTOR = /didn't match Pod's node affinity\/selector/;
const TAINT = /had untolerated taint(?:\(s\))? ?(\{.*\})?/;

/** `2 Insufficient nvidia.com/gpu` → `2 have too little nvidia.com/gpu free`. */
function obstacle(pod: RawObject, part: string): string {
  const [, count = '', words = ''] = /^(\d+) (.*)$/s.exec(part) ?? ['', '', part];
  const verb = count === '1' ? 'has' : 'have';
  const [, resource] = /^Insufficient (\S+)/.exec(words) ?? [];
  if (resource !== undefined) {
    return `${count} ${verb} too little ${resource} free${askedFor(pod, resource)}`;
  }
  if (SELECTOR.test(words)) {
    return `${count} ${count === '1' ? 'lacks' : 'lack'} the labels that scheduling.node_selector or the GPU’s product require`;
  }
  const taint = TAINT.exec(words);
  return taint === null
    ? part
    : `${count} ${verb} a taint that is not tolerated ${taint[1] ?? ''}`.trim();
}

function advice(words: string): string {
  if (/Insufficient/.test(words)) return 'ask for less in resources, or add nodes that have more';
  if (SELECTOR.test(words))
    return 'correct scheduling.node_selector or gpu.product, or label nodes';
  return 'tolerate the taint in scheduling.tolerations, or add nodes';
}

/** Parses `0/3 nodes are available: 1 …, 2 …. preemption: …`; more sentences may follow. */
function fitMessage(pod: RawObject, words: string): string {
  const [, total, parts = ''] =
    /^\d+\/(\d+) nodes are available: (.*?)(?:\.\s.*|\.)?$/s.exec(words) ?? [];
  if (total === undefined) return `no node fits: ${quoted(words)}; add nodes, or ask for less`;
  const obstacles = parts.split(/, (?=\d+ )/).map((part) => obstacle(pod, part));
  return `no node fits; of ${total}: ${quoted(obstacles.join(', '))}; ${advice(parts)}`;
}

function volumeCause(words: string): Pick<Cause, 'cause' | 'message'> | undefined {
  const [, claim] = /persistentvolumeclaim "([^"]+)" not found/i.exec(words) ?? [];
  if (claim !== undefined) {
    const message = `PersistentVolumeClaim ${claim} does not exist; create it, or correct the source`;
    return { cause: 'missing-volume', message };
  }
  if (!/unbound immediate PersistentVolumeClaims/i.test(words)) return undefined;
  const message =
    'its volume does not exist yet: no provisioner has created one; check cache.storage_class and the events of the claim';
  return { cause: 'volume-pending', message };
}

/** The reason why no node takes a pod; undefined when it is scheduled. */
export function schedulingCause(
  pod: RawObject,
  noticed: readonly ObjectEvent[],
): Cause | undefined {
  const condition = conditionOf(pod, 'PodScheduled');
  if (condition?.['status'] !== 'False') return undefined;
  const since = transitionedAt(condition) ?? createdAt(pod);
  const words = textAt(condition, 'message') ?? '';
  if (condition['reason'] === 'SchedulingGated') {
    const message =
      'the pod has scheduling gates, which keep it from being scheduled; ask their owner';
    return { cause: 'scheduling-gated', message, since, failed: false };
  }
  const volume = volumeCause(words);
  if (volume !== undefined) return { ...volume, since, failed: true };
  const coming = noticed.some(({ reason }) => NODE_IS_COMING.has(reason));
  const message = fitMessage(pod, words) + (coming ? '; a new node is on its way' : '');
  return { cause: 'no-node-fits', message, since, failed: !coming };
}
