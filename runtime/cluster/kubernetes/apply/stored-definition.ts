import { DEFINITION_KEY, HASH_ANNOTATION, MANAGER, PREFIX } from '../../../../lib/objects';
import type { ModelSpec } from '../../../../lib/spec';
import { definitionHash, parseModel, readJsonText } from '../../../../lib/spec';
import type { Artifacts, StoredModel, StoredRevision } from '../../registry';
import type { KubeObject } from '../client/api';
import { definitionWriter } from './field-owner';
import type { RawObject } from '../client/object-fields';
import { at, createdAt, numberAt, textAt } from '../client/object-fields';
import { entryOf } from '../../../../lib/spec/entry';

/** Annotation of the definition: facts about the applied revision. JSON, see `AppliedRevision`. */
export const APPLIED_ANNOTATION = `${PREFIX}/applied`;
/** Annotation of the definition: time since when the model is being deleted. */
export const DELETING_ANNOTATION = `${PREFIX}/deleting`;

/** Facts that an apply stores beside the definition. They hold while `hash` is the definition's. */
export interface AppliedRevision {
  readonly revision: number;
  readonly hash: string;
  readonly by: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Writer of this definition: `rest` or `files`. */
  readonly manager: string;
  /** Owner of the model; differs from `manager` after a takeover. */
  readonly owner: string;
  readonly artifacts?: Artifacts | undefined;
}

/** A definition in the cluster. */
export interface Definition {
  readonly object: KubeObject;
  readonly spec: ModelSpec;
  readonly hash: string;
  readonly revision: number;
  readonly manager: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly deleting: boolean;
  /** Absent when it belongs to another definition. */
  readonly stamp: AppliedRevision | undefined;
}

const annotation = (object: KubeObject, name: string): string | undefined =>
  entryOf(object.metadata.annotations, name);

function parsed(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

function artifactsOf(value: unknown): Artifacts | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const all = Object.entries(value as RawObject).filter(([, digest]) => typeof digest === 'string');
  return Object.fromEntries(all) as Artifacts;
}

/** An unreadable annotation, edited by hand, counts as absent. */
function stampOf(object: KubeObject): AppliedRevision | undefined {
  const value = parsed(annotation(object, APPLIED_ANNOTATION));
  const revision = numberAt(value, 'revision');
  const hash = textAt(value, 'hash');
  if (revision === undefined || hash === undefined) return undefined;
  const manager = textAt(value, 'manager') ?? 'rest';
  return {
    revision,
    hash,
    by: textAt(value, 'by') ?? '',
    at: numberAt(value, 'at') ?? 0,
    manager,
    owner: textAt(value, 'owner') ?? manager,
    artifacts: artifactsOf(at(value, 'artifacts')),
  };
}

/**
 * Revisions of the service are counted: 1, 2, 3. A definition of another manager has the
 * ConfigMap's resourceVersion: the same for every router and after every restart, and higher than
 * any counted revision, because each write of the service raised it, too.
 */
function revisionOf(
  { metadata }: KubeObject,
  stamp: AppliedRevision | undefined,
  hash: string,
): number {
  if (stamp?.hash === hash) return stamp.revision;
  return Math.max(Number(metadata.resourceVersion ?? 0), (stamp?.revision ?? 0) + 1);
}

/** Undefined: it has no definition; a create has only claimed the name. */
export function definitionText(object: KubeObject | undefined): string | undefined {
  return textAt(object, 'data', DEFINITION_KEY);
}

/**
 * Reads a ConfigMap with a definition.
 * @throws Error or DefinitionError when it has no valid definition
 */
export function readDefinition(object: KubeObject): Definition {
  const text = definitionText(object);
  if (text === undefined) throw new Error(`it has no ${DEFINITION_KEY}`);
  const spec = parseModel(readJsonText(text).value);
  const hash = definitionHash(spec.definition);
  const last = stampOf(object);
  const writer = definitionWriter(object);
  const stamp = last?.hash === hash ? last : undefined;
  const created = createdAt(object);
  return {
    object,
    spec,
    hash,
    revision: revisionOf(object, last, hash),
    manager:
      writer === undefined || writer.manager === MANAGER ? (last?.owner ?? 'rest') : writer.manager,
    createdAt: created,
    updatedAt: stamp?.at ?? (Date.parse(writer?.time ?? '') || created),
    deleting: annotation(object, DELETING_ANNOTATION) !== undefined,
    stamp,
  };
}

/** The present revision, of any manager. */
export function presentRevision(definition: Definition, artifacts: Artifacts): StoredRevision {
  const { spec, hash, revision, manager, updatedAt, stamp } = definition;
  return {
    revision,
    hash,
    version: spec.version,
    by: stamp?.by ?? manager,
    manager: stamp?.manager ?? manager,
    at: updatedAt,
    definition: spec.definition,
    artifacts: stamp?.artifacts ?? artifacts,
  };
}

/** The annotations of a stored definition. */
export function withAppliedRevision(object: KubeObject, stored: StoredModel): KubeObject {
  const [entry] = stored.history;
  const stamp: AppliedRevision = {
    revision: stored.revision,
    hash: stored.hash,
    by: entry?.by ?? '',
    at: entry?.at ?? stored.updatedAt,
    manager: entry?.manager ?? stored.manager,
    owner: stored.manager,
    artifacts: entry?.artifacts,
  };
  const annotations = {
    ...object.metadata.annotations,
    [APPLIED_ANNOTATION]: JSON.stringify(stamp),
  };
  return { ...object, metadata: { ...object.metadata, annotations } };
}

/** Hash of the definition that an object was rendered from. */
export function renderedFrom(object: KubeObject): string | undefined {
  return annotation(object, HASH_ANNOTATION);
}
