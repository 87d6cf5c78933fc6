import type { RawObject } from '../client/object-fields';
import { at, createdAt, numberAt, textAt, timeAt } from '../client/object-fields';

/** An event about an object, from either API of events. */
export interface ObjectEvent {
  readonly kind: string;
  readonly name: string;
  readonly uid: string | undefined;
  /** The container that it is about, if any. */
  readonly container: string | undefined;
  readonly reason: string;
  readonly message: string;
  readonly first: number;
  readonly last: number;
  readonly count: number;
}

/** `spec.initContainers{artifact}` → `artifact`. */
const containerOf = (path: string | undefined): string | undefined =>
  /\{(.+)\}$/.exec(path ?? '')?.[1];

function noticed(event: RawObject): ObjectEvent {
  const about = at(event, 'involvedObject') ?? at(event, 'regarding');
  const first =
    timeAt(event, 'firstTimestamp') ??
    timeAt(event, 'deprecatedFirstTimestamp') ??
    timeAt(event, 'eventTime') ??
    createdAt(event);
  return {
    kind: textAt(about, 'kind') ?? '',
    name: textAt(about, 'name') ?? '',
    uid: textAt(about, 'uid'),
    container: containerOf(textAt(about, 'fieldPath')),
    reason: textAt(event, 'reason') ?? '',
    message: textAt(event, 'message') ?? textAt(event, 'note') ?? '',
    first,
    last:
      timeAt(event, 'series', 'lastObservedTime') ??
      timeAt(event, 'lastTimestamp') ??
      timeAt(event, 'deprecatedLastTimestamp') ??
      first,
    count: numberAt(event, 'series', 'count') ?? numberAt(event, 'count') ?? 1,
  };
}

/** All events, latest first. */
export function eventsOf(events: readonly RawObject[]): readonly ObjectEvent[] {
  return events.map(noticed).sort((a, b) => b.last - a.last);
}

/** By the name of the object: a model may have thousands of pods, each with its events. */
export type EventsByName = ReadonlyMap<string, readonly ObjectEvent[]>;

export function eventsByName(all: readonly ObjectEvent[]): EventsByName {
  const found = new Map<string, ObjectEvent[]>();
  for (const one of all) {
    const own = found.get(one.name);
    if (own === undefined) found.set(one.name, [one]);
    else own.push(one);
  }
  return found;
}

/** The events about one object: by its uid, since a name may be used again. */
export function eventsAbout(all: EventsByName, object: unknown): readonly ObjectEvent[] {
  const uid = textAt(object, 'metadata', 'uid');
  const own = all.get(textAt(object, 'metadata', 'name') ?? '') ?? [];
  return own.filter((one) => one.uid === undefined || uid === undefined || one.uid === uid);
}

/**
 * The events about the ReplicaSets of a Deployment. They are not watched; their names are the
 * Deployment's name with a hash.
 */
export function replicaSetEvents(
  all: readonly ObjectEvent[],
  deployment: string,
): readonly ObjectEvent[] {
  return all.filter(
    ({ kind, name }) =>
      kind === 'ReplicaSet' &&
      name.startsWith(`${deployment}-`) &&
      /^[a-z0-9]+$/.test(name.slice(deployment.length + 1)),
  );
}
