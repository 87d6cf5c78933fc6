import type { Spread } from './balance';
import { upperBoundOf } from './balance';
import { PRIORITIES } from './outcome';
import type { Priority, ShedReason } from './outcome';

/** This much waiting outweighs one priority: low after 3 s goes before a new critical request. */
export const PRIORITY_AGE_MS = 1_000;
/** Every tenth slot goes to the oldest request, so that low priority never starves. */
export const OLDEST_EVERY = 10;
/** Part of a full queue reserved for each priority, so that others cannot displace all of it. */
export const RESERVED_RATIO = 1 / 8;
/**
 * Queue depth while no replica is ready, when there is no capacity to derive it from. A thousand
 * requests are some seconds of a busy model; with 64 KiB bodies they stay below 64 MiB.
 */
export const COLD_QUEUE_DEPTH = 1_000;

/** Order in which queued requests are served. */
interface ServiceOrder {
  readonly priorityAgeMs: number;
  readonly oldestEvery: number;
}

const SERVICE_ORDER: ServiceOrder = { priorityAgeMs: PRIORITY_AGE_MS, oldestEvery: OLDEST_EVERY };

/** A queued request. */
export interface QueueEntry<T> {
  readonly value: T;
  readonly priority: Priority;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

/** Oldest first. */
type Line<T> = QueueEntry<T>[];

/** Requests waiting for a slot of one arm. */
export interface Queue<T> {
  readonly lines: Readonly<Record<Priority, Line<T>>>;
  size: number;
  /** Slots handed out from the queue. */
  taken: number;
}

export function createQueue<T>(): Queue<T> {
  return { lines: { critical: [], high: [], normal: [], low: [] }, size: 0, taken: 0 };
}

export type OfferResult<T> =
  | { readonly kind: 'queued' }
  /** Queued in place of `entry`, which must be rejected. */
  | { readonly kind: 'displaced'; readonly entry: QueueEntry<T> }
  | { readonly kind: 'full' };

const level = (priority: Priority): number => PRIORITIES.indexOf(priority);

/**
 * The line whose newest entry is displaced when the queue is full: first a lower priority that
 * holds more than its reserved part; then, if the newcomer's priority holds less than its part, any
 * priority that holds more.
 */
function lineToShorten<T>(
  { lines }: Queue<T>,
  priority: Priority,
  depth: number,
  ownPart: number,
): Line<T> | undefined {
  const part = Math.floor(depth * ownPart);
  const entitled = lines[priority].length < part;
  const lowestFirst = PRIORITIES.toReversed();
  const below = lowestFirst.filter((other) => level(other) > level(priority));
  const found =
    below.find((other) => lines[other].length > part) ??
    (entitled ? lowestFirst.find((other) => lines[other].length > part) : undefined);
  return found === undefined ? undefined : lines[found];
}

/** Queues a newcomer, at most `depth` in all. */
export function offer<T>(
  queue: Queue<T>,
  entry: QueueEntry<T>,
  depth: number,
  ownPart = RESERVED_RATIO,
): OfferResult<T> {
  if (queue.size < depth) {
    queue.lines[entry.priority].push(entry);
    queue.size += 1;
    return { kind: 'queued' };
  }
  const displaced = lineToShorten(queue, entry.priority, depth, ownPart)?.pop();
  if (displaced === undefined) return { kind: 'full' };
  queue.lines[entry.priority].push(entry);
  return { kind: 'displaced', entry: displaced };
}

/** Queues a request again after its first attempt failed: first in its line, at any depth. */
export function offerAgain<T>(queue: Queue<T>, entry: QueueEntry<T>): void {
  queue.lines[entry.priority].unshift(entry);
  queue.size += 1;
}

/** Removes an entry; false when it is not queued. */
export function withdraw<T>(queue: Queue<T>, entry: QueueEntry<T>): boolean {
  const line = queue.lines[entry.priority];
  const at = line.indexOf(entry);
  if (at < 0) return false;
  line.splice(at, 1);
  queue.size -= 1;
  return true;
}

/** Dequeues the next entry that `fits` allows. */
export function take<T>(
  queue: Queue<T>,
  fits: (value: T) => boolean,
  { priorityAgeMs, oldestEvery }: ServiceOrder = SERVICE_ORDER,
): QueueEntry<T> | undefined {
  const oldestFirst = queue.taken % oldestEvery === oldestEvery - 1;
  const rank = ({ since, priority }: QueueEntry<T>): number =>
    oldestFirst ? since : since + level(priority) * priorityAgeMs;
  let next: QueueEntry<T> | undefined;
  for (const priority of PRIORITIES) {
    const head = queue.lines[priority].find(({ value }) => fits(value));
    if (head !== undefined && (next === undefined || rank(head) < rank(next))) next = head;
  }
  if (next === undefined) return undefined;
  withdraw(queue, next);
  queue.taken += 1;
  return next;
}

/** About how many entries are served before a newcomer of this priority. */
export function countAhead<T>({ lines }: Queue<T>, priority: Priority): number {
  return PRIORITIES.filter((other) => level(other) <= level(priority)).reduce(
    (sum, other) => sum + lines[other].length,
    0,
  );
}

/** All queued entries. */
export function queuedEntries<T>({ lines }: Queue<T>): readonly QueueEntry<T>[] {
  return PRIORITIES.flatMap((priority) => lines[priority]);
}

/** Inputs of the expected wait. */
export interface WaitEstimate {
  readonly ahead: number;
  /** Requests in flight the arm takes. */
  readonly capacity: number;
  /** How long a request holds its slot, milliseconds; undefined: not measured yet. */
  readonly service: Spread | undefined;
}

/**
 * Milliseconds until a slot is free: with 8 slots of 40 ms and 15 ahead, (15 + 1) × 40 / 8 = 80.
 */
export function expectedWaitMs({ ahead: before, capacity, service }: WaitEstimate): number {
  return capacity === 0 ? 0 : ((before + 1) * (service?.mean ?? 0)) / capacity;
}

/** Is this enough time to answer a request that has a slot? */
export function isEnough(service: Spread | undefined, remainingMs: number): boolean {
  return service === undefined || upperBoundOf(service) <= remainingMs;
}

/** Can it wait and still be answered in time? True while the service time is unknown. */
export function canMeet(outlook: WaitEstimate, remainingMs: number): boolean {
  return isEnough(outlook.service, remainingMs - expectedWaitMs(outlook));
}

/** Largest `Retry-After`. */
const MAX_RETRY_AFTER_SECONDS = 30;
/** `Retry-After` while no replica is ready: one needs some seconds to start. */
const STARTING_SECONDS = 5;

/** Whole seconds for `Retry-After`, at least 1. */
export function retryAfterSeconds(reason: ShedReason, waitMs: number): number {
  if (reason === 'stopped' || reason === 'deleting') return MAX_RETRY_AFTER_SECONDS;
  if (reason === 'no_replica') return STARTING_SECONDS;
  return Math.min(MAX_RETRY_AFTER_SECONDS, Math.max(1, Math.ceil(waitMs / 1000)));
}
