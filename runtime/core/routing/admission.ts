import type { Spread } from './balance';
import { upperBoundOf } from './balance';
import { PRIORITIES } from './outcome';
import type { Priority, ShedReason } from './outcome';

/**
 * Waiting this long counts as much as one priority: low after 3 s is before critical that just
 * came.
 */
export const PRIORITY_AGE_MS = 1_000;
/**
 * Every tenth slot goes to whoever waits longest, so that low is served however much critical
 * comes.
 */
export const OLDEST_EVERY = 10;
/** An eighth of a full queue belongs to each priority: nobody is turned away by others alone. */
export const RESERVED_RATIO = 1 / 8;
/**
 * While no replica is up the arm has no capacity to measure a queue by. A thousand is some seconds
 * of a busy model: a restart costs nobody an error, and a body of 64 KiB each stays below 64 MiB.
 */
export const COLD_QUEUE_DEPTH = 1_000;

/** In which order those who wait are served. */
interface ServiceOrder {
  readonly priorityAgeMs: number;
  readonly oldestEvery: number;
}

const SERVICE_ORDER: ServiceOrder = { priorityAgeMs: PRIORITY_AGE_MS, oldestEvery: OLDEST_EVERY };

/** One that waits. */
export interface QueueEntry<T> {
  readonly value: T;
  readonly priority: Priority;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

/** Oldest first. */
type Line<T> = QueueEntry<T>[];

/** Those who wait for a slot of one arm. */
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
  /** Queued in the place of another one, which must be told. */
  | { readonly kind: 'displaced'; readonly entry: QueueEntry<T> }
  | { readonly kind: 'full' };

const level = (priority: Priority): number => PRIORITIES.indexOf(priority);

/**
 * Whose newest gives way to a newcomer when the queue is full. First those of lower priority that
 * hold more than their own part; then, for a newcomer whose priority has less than its part, anyone
 * who has more.
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

/**
 * Queues one that was admitted before (its first try failed): in front of its line, whatever the
 * depth.
 */
export function offerAgain<T>(queue: Queue<T>, entry: QueueEntry<T>): void {
  queue.lines[entry.priority].unshift(entry);
  queue.size += 1;
}

/** Forgets one that no longer waits; false when it was not there. */
export function withdraw<T>(queue: Queue<T>, entry: QueueEntry<T>): boolean {
  const line = queue.lines[entry.priority];
  const at = line.indexOf(entry);
  if (at < 0) return false;
  line.splice(at, 1);
  queue.size -= 1;
  return true;
}

/** The next one to get a slot, among those `fits` allows; it leaves the queue. */
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

/** How many are served before a newcomer of this priority, about. */
export function countAhead<T>({ lines }: Queue<T>, priority: Priority): number {
  return PRIORITIES.filter((other) => level(other) <= level(priority)).reduce(
    (sum, other) => sum + lines[other].length,
    0,
  );
}

/** Everyone who waits. */
export function queuedEntries<T>({ lines }: Queue<T>): readonly QueueEntry<T>[] {
  return PRIORITIES.flatMap((priority) => lines[priority]);
}

/** What the estimate of a wait is made of. */
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

/** Is this enough time to be answered, once it has a slot? */
export function isEnough(service: Spread | undefined, remainingMs: number): boolean {
  return service === undefined || upperBoundOf(service) <= remainingMs;
}

/** Can it wait and still be answered in time? Unknown or without capacity: let it try. */
export function canMeet(outlook: WaitEstimate, remainingMs: number): boolean {
  return isEnough(outlook.service, remainingMs - expectedWaitMs(outlook));
}

/** Longest that is asked for; who comes later than needed has lost nothing. */
const MAX_RETRY_AFTER_SECONDS = 30;
/** A replica needs some seconds to start. */
const STARTING_SECONDS = 5;

/** Whole seconds for `Retry-After`, at least 1. */
export function retryAfterSeconds(reason: ShedReason, waitMs: number): number {
  if (reason === 'stopped' || reason === 'deleting') return MAX_RETRY_AFTER_SECONDS;
  if (reason === 'no_replica') return STARTING_SECONDS;
  return Math.min(MAX_RETRY_AFTER_SECONDS, Math.max(1, Math.ceil(waitMs / 1000)));
}
