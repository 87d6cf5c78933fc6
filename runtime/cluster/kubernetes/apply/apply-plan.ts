import { HASH_ANNOTATION, MODEL_LABEL } from '../../../../lib/objects';
import { canonical } from '../../../../lib/spec';
import { ClusterError } from '../../port';
import type { KubeObject } from '../client/api';
import { isWrittenBy } from './field-owner';
import { entryOf, isObject } from '../../../../lib/spec/entry';

/** `Deployment/iris` */
export function kindNameOf({ kind, metadata }: Pick<KubeObject, 'kind' | 'metadata'>): string {
  return `${kind}/${metadata.name}`;
}

/** A field that would change; undefined: absent. */
export interface FieldChange {
  readonly field: string;
  readonly from: unknown;
  readonly to: unknown;
}

export interface PlannedWrite {
  readonly do: 'create' | 'change' | 'keep';
  readonly object: KubeObject;
  readonly changes: readonly FieldChange[];
}

export interface ApplyPlan {
  /** In this order. */
  readonly writes: readonly PlannedWrite[];
  /** Live objects that the definition no longer has; deleted after the writes. */
  readonly prunes: readonly KubeObject[];
}

/** By `kindNameOf`. */
export type ObjectsByKindName = ReadonlyMap<string, KubeObject>;

export interface PlanInput {
  readonly slug: string;
  /** The objects rendered from the definition. */
  readonly wanted: readonly KubeObject[];
  readonly found: ObjectsByKindName;
  /** Field managers; only what one of them has written is pruned. */
  readonly managers: ReadonlySet<string>;
  /** Names of objects that an earlier revision would need again. */
  readonly kept: ReadonlySet<string>;
}

const same = (a: unknown, b: unknown): boolean =>
  JSON.stringify(canonical(a)) === JSON.stringify(canonical(b));

/** Compares only wanted fields: the API server sets the rest. Lists of other lengths count whole. */
function changesIn(from: unknown, to: unknown, path: string): readonly FieldChange[] {
  if (isObject(to) && isObject(from)) {
    return Object.entries(to).flatMap(([key, value]) =>
      changesIn(entryOf(from, key), value, path === '' ? key : `${path}.${key}`),
    );
  }
  if (Array.isArray(to) && Array.isArray(from) && to.length === from.length) {
    return to.flatMap((value, index) => changesIn(from[index], value, `${path}[${index}]`));
  }
  return same(from, to) ? [] : [{ field: path, from, to }];
}

function writeOf(object: KubeObject, live: KubeObject | undefined): PlannedWrite {
  if (live === undefined) return { do: 'create', object, changes: [] };
  const { kind: _, apiVersion: __, ...wanted } = object;
  const changes = changesIn(live, wanted, '');
  return { do: changes.length === 0 ? 'keep' : 'change', object, changes };
}

/**
 * Order of writes: immutable ConfigMaps, which are named by their content; then the definition,
 * whose write decides between concurrent changes; then everything else.
 */
const rank = ({ kind, ...object }: KubeObject): number => {
  if (kind !== 'ConfigMap') return 2;
  return object['immutable'] === true ? 0 : 1;
};

function refuseForeign({ slug, wanted, found }: PlanInput): void {
  const foreign = wanted
    .map((object) => found.get(kindNameOf(object)))
    .filter((live) => live !== undefined && live.metadata.labels?.[MODEL_LABEL] !== slug)
    .map((live) => live as KubeObject);
  if (foreign.length === 0) return;
  const names = foreign.map(kindNameOf).join(', ');
  throw new ClusterError(
    'FIELD_CONFLICT',
    `${names}: in the cluster already, and not labelled as model ${slug} (${MODEL_LABEL}); remove it, or rename the model`,
    foreign.map((live) => ({
      object: kindNameOf(live),
      field: `.metadata.labels["${MODEL_LABEL}"]`,
      got: live.metadata.labels?.[MODEL_LABEL] ?? null,
      allowed: slug,
    })),
  );
}

/**
 * The writes and deletions that bring the cluster to a definition. Pure.
 * @throws ClusterError FIELD_CONFLICT when an object of that name belongs to another model
 */
export function planOf(input: PlanInput): ApplyPlan {
  const { slug, wanted, found, managers, kept } = input;
  refuseForeign(input);
  const names = new Set(wanted.map(kindNameOf));
  const isGone = (live: KubeObject): boolean =>
    !names.has(kindNameOf(live)) &&
    !kept.has(kindNameOf(live)) &&
    live.metadata.labels?.[MODEL_LABEL] === slug &&
    live.metadata.deletionTimestamp === undefined &&
    [...managers].some((manager) => isWrittenBy(live, manager));
  return {
    writes: wanted
      .toSorted((a, b) => rank(a) - rank(b))
      .map((object) => writeOf(object, found.get(kindNameOf(object)))),
    prunes: [...found.values()].filter(isGone),
  };
}

/** Longer values are cut, in characters. */
const MAX_SHOWN = 2000;

function shown(value: unknown): unknown {
  if (value === undefined) return null;
  const text = JSON.stringify(value);
  return text.length <= MAX_SHOWN ? value : `${text.slice(0, MAX_SHOWN)}…`;
}

/** A plan as REST shows it: the wanted manifests and the differences. */
export function planDetails({ writes, prunes }: ApplyPlan): readonly object[] {
  const written = writes
    .filter((write) => write.do !== 'keep')
    .map(({ do: what, object, changes }) => ({
      do: what,
      object: kindNameOf(object),
      ...(what === 'create'
        ? { manifest: shownObject(object) }
        : {
            changes: changes.map(({ field, from, to }) => ({
              field,
              from: shown(from),
              to: shown(to),
            })),
          }),
    }));
  return [...written, ...prunes.map((live) => ({ do: 'remove', object: kindNameOf(live) }))];
}

/** Without the bytes of files. */
function shownObject(object: KubeObject): object {
  const { binaryData, ...rest } = object;
  return binaryData === undefined
    ? rest
    : { ...rest, binaryData: Object.keys(binaryData as object) };
}

/** Revisions may share immutable objects, whose hash annotation names the latest one. */
function isDone({ do: what, object, changes }: PlannedWrite): boolean {
  if (what === 'create') return false;
  return (
    object['immutable'] === true || !changes.some(({ field }) => field.endsWith(HASH_ANNOTATION))
  );
}

/**
 * True when the definition was applied completely. Other differences are drift or a changed
 * environment and wait for the next definition.
 */
export function isFullyApplied({ writes, prunes }: ApplyPlan): boolean {
  return writes.every(isDone) && prunes.length === 0;
}
