import type { Plain } from '../client/object-fields';
import { at, createdAt, numberAt, textAt, timeAt } from '../client/object-fields';

/** Something that was noticed about an object, as both APIs of events tell it. */
export interface Noticed {
  readonly kind: string;
  readonly name: string;
  readonly uid: string | undefined;
  /** The container it is about, if one. */
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

function noticed(event: Plain): Noticed {
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

/** Everything that was noticed, latest first. */
export function noticedOf(events: readonly Plain[]): readonly Noticed[] {
  return events.map(noticed).sort((a, b) => b.last - a.last);
}

/** By the name of the object: a model may have thousands of pods, each with its events. */
export type NoticedByName = ReadonlyMap<string, readonly Noticed[]>;

export function byName(all: readonly Noticed[]): NoticedByName {
  const found = new Map<string, Noticed[]>();
  for (const one of all) {
    const own = found.get(one.name);
    if (own === undefined) found.set(one.name, [one]);
    else own.push(one);
  }
  return found;
}

/** What was noticed about one object: by its uid, since a name may be used again. */
export function aboutObject(all: NoticedByName, object: unknown): readonly Noticed[] {
  const uid = textAt(object, 'metadata', 'uid');
  const own = all.get(textAt(object, 'metadata', 'name') ?? '') ?? [];
  return own.filter((one) => one.uid === undefined || uid === undefined || one.uid === uid);
}

/**
 * What was noticed about the ReplicaSets of a Deployment. They are not watched; their names are the
 * Deployment's with a hash behind.
 */
export function aboutReplicaSets(all: readonly Noticed[], deployment: string): readonly Noticed[] {
  return all.filter(
    ({ kind, name }) =>
      kind === 'ReplicaSet' &&
      name.startsWith(`${deployment}-`) &&
      /^[a-z0-9]+$/.test(name.slice(deployment.length + 1)),
  );
}
