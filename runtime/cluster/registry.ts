import type { Arm, ModelSpec } from '../../lib/spec';
import { definitionHash, parseModel, slugOf } from '../../lib/spec';
import type { ModelRecord, ModelOverrides } from '../core/lifecycle/snapshot';
import type { ApplyOptions, RemoveOptions, Rescaling, Revision } from './port';
import { ClusterError, OWN_MANAGERS } from './port';
import { entryOf } from '../../lib/spec/entry';

/** The stored state of a model. Plain JSON: adapters store it as it is. */
export interface StoredModel {
  readonly id: string;
  readonly definition: ModelSpec['definition'];
  readonly revision: number;
  readonly hash: string;
  readonly manager: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly deleting: boolean;
  readonly state?: ModelOverrides | undefined;
  /** Newest first. */
  readonly history: readonly StoredRevision[];
}

/** Arm → SHA-256 of the bytes of its `file` source. */
export type Artifacts = Readonly<Record<string, string>>;

/** A revision with the digests of its artifacts. */
export interface StoredRevision extends Revision {
  readonly artifacts?: Artifacts | undefined;
}

/** Like `revisionHistoryLimit` of a Deployment. */
export const HISTORY_LIMIT = 10;

export interface Proposal {
  readonly spec: ModelSpec;
  readonly options: ApplyOptions;
  readonly artifacts: Artifacts;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Outcome of an apply. `changed: false` may still carry new overrides or a new owner. */
export interface ApplyOutcome {
  readonly stored: StoredModel;
  readonly changed: boolean;
}

function refuseClash(id: string, all: Iterable<StoredModel>): void {
  for (const other of all) {
    if (other.id !== id && slugOf(other.id) === slugOf(id)) {
      throw new ClusterError(
        'INVALID_MODEL_CONFIG',
        `model_id: got "${id}", which would share its objects' names with model ${other.id}; rename it`,
      );
    }
  }
}

function refuseForeign(
  stored: StoredModel,
  { manager, force }: Pick<ApplyOptions, 'manager' | 'force'>,
) {
  const same = stored.manager === manager;
  const own = OWN_MANAGERS.has(stored.manager) && OWN_MANAGERS.has(manager);
  if (same || own || force === true) return;
  throw new ClusterError(
    'READ_ONLY',
    `model ${stored.id} is written by ${stored.manager}; change it there, or take it over with force=true`,
  );
}

function refuseStale(
  stored: StoredModel | undefined,
  id: string,
  { ifRevision }: ApplyOptions,
): void {
  if (ifRevision === undefined || stored?.revision === ifRevision) return;
  throw new ClusterError(
    'REVISION_CONFLICT',
    `model ${id} is at revision ${stored?.revision ?? 0}, not ${ifRevision}; read it again, then change it`,
  );
}

const sameArtifacts = (a: StoredRevision['artifacts'], b: StoredRevision['artifacts']): boolean =>
  JSON.stringify(Object.entries(a ?? {}).sort()) === JSON.stringify(Object.entries(b ?? {}).sort());

/** The identical definition again: only its owner and overrides may change. */
function unchanged(before: StoredModel, { manager, force, state }: ApplyOptions): StoredModel {
  const taken = force === true && before.manager !== manager ? { ...before, manager } : before;
  return state === undefined ? taken : { ...taken, state: { ...state, hash: before.hash } };
}

function nextRevision(
  before: StoredModel | undefined,
  proposal: Proposal,
  hash: string,
): StoredModel {
  const { spec, options, artifacts, now } = proposal;
  const { by, manager } = options;
  // The overrides of the previous definition end here; a rollout says itself what it is about.
  const rollout = before?.state?.rollout;
  const state = rollout === undefined ? options.state : { rollout, ...options.state };
  const revision = (before?.revision ?? 0) + 1;
  const entry: StoredRevision = {
    revision,
    hash,
    version: spec.version,
    by,
    manager,
    at: now,
    definition: spec.definition,
    artifacts,
  };
  return {
    id: spec.id,
    definition: spec.definition,
    revision,
    hash,
    manager,
    createdAt: before?.createdAt ?? now,
    updatedAt: now,
    deleting: false,
    ...(state !== undefined && { state: { ...state, hash } }),
    history: [entry, ...(before?.history ?? [])].slice(0, HISTORY_LIMIT),
  };
}

/**
 * The rules of `Cluster.apply`, the same for every adapter that keeps its own registry.
 * @throws ClusterError; nothing is changed then
 */
export function applyTo(all: ReadonlyMap<string, StoredModel>, proposal: Proposal): ApplyOutcome {
  const { spec, options, artifacts } = proposal;
  const before = all.get(spec.id);
  refuseClash(spec.id, all.values());
  refuseStale(before, spec.id, options);
  const hash = definitionHash(spec.definition);
  if (before === undefined) return { stored: nextRevision(before, proposal, hash), changed: true };
  if (before.deleting) {
    throw new ClusterError(
      'FIELD_CONFLICT',
      `model ${spec.id} is being deleted; deploy it again when it is gone`,
    );
  }
  if (before.hash === hash && sameArtifacts(before.history[0]?.artifacts, artifacts)) {
    return { stored: unchanged(before, options), changed: false };
  }
  if (options.create === true) {
    throw new ClusterError(
      'MODEL_ALREADY_EXISTS',
      `model ${spec.id} exists with another definition; change it with PUT /api/v1/models/${spec.id}`,
    );
  }
  refuseForeign(before, options);
  return { stored: nextRevision(before, proposal, hash), changed: true };
}

/** @throws ClusterError MODEL_NOT_FOUND */
export function findStored<Kept>(all: ReadonlyMap<string, Kept>, id: string): Kept {
  const found = all.get(id);
  if (found !== undefined) return found;
  throw new ClusterError(
    'MODEL_NOT_FOUND',
    `there is no model ${id}; GET /api/v1/models lists them`,
  );
}

/** Marks a model as being deleted. */
export function markDeleted(stored: StoredModel, options: RemoveOptions): StoredModel {
  // `force` of a removal skips the drain; it does not take a model away from its owner.
  refuseForeign(stored, { manager: options.manager });
  return { ...stored, deleting: true };
}

/** Sets the overrides of a model; undefined removes them. */
export function withOverrides(stored: StoredModel, state: ModelOverrides | undefined): StoredModel {
  if (state !== undefined && state.hash !== stored.hash) {
    throw new ClusterError(
      'REVISION_CONFLICT',
      `model ${stored.id} has another definition by now; read it again, then decide`,
    );
  }
  return { ...stored, state };
}

/** The desired replicas of an arm: the last request, within the limits of its definition. */
export function desiredOf({ scaling }: Arm, asked: number): number {
  return Math.min(scaling.maxReplicas, Math.max(scaling.minReplicas, asked));
}

/**
 * The rules of `Cluster.scale`. `desired`: the desired replicas of the arm; undefined when it does
 * not exist.
 * @throws ClusterError
 */
export function checkScale(
  { id, deleting, state }: Pick<StoredModel, 'id' | 'deleting' | 'state'>,
  arm: string,
  { from }: Rescaling,
  desired: number | undefined,
): void {
  if (desired === undefined)
    throw new ClusterError('NOT_FOUND', `model ${id} has no arm ${arm}; its status lists them`);
  const isLeaving = deleting || state?.stopped === true;
  if (desired === from && !isLeaving) return;
  const now = isLeaving ? 'is being stopped' : `is meant to have ${desired} replicas, not ${from}`;
  throw new ClusterError(
    'REVISION_CONFLICT',
    `arm ${arm} of model ${id} ${now}; read it again, then decide`,
  );
}

/** The history as callers see it. */
export function revisionsOf({ history }: StoredModel): readonly Revision[] {
  return history.map((one) => {
    const { revision, hash, version, by, manager, at, definition } = one;
    return { revision, hash, version, by, manager, at, definition };
  });
}

/** The stored bytes for an arm whose definition comes without them. */
export interface ArtifactPin {
  readonly digest: string;
  /** Exactly these bytes: the definition, or the version of this source, is the same. */
  readonly firm: boolean;
  /**
   * The digest that the definition stated. It differs from `digest` for a model that was joined
   * with the weights beside it.
   */
  readonly sha256: string | undefined;
}

/** True when a pin holds the bytes of a source with this digest. */
export const matchesPin = (pin: ArtifactPin, sha256: string | undefined): boolean =>
  sha256 === undefined || sha256 === pin.digest || sha256 === pin.sha256;

/**
 * The bytes that an arm had before. A definition by REST names a file without its bytes: a rollback
 * or a changed share must not pick up a newer content of that file.
 */
export function pinOf(
  spec: ModelSpec,
  arm: Arm,
  before: StoredModel | undefined,
): ArtifactPin | undefined {
  if (before === undefined || arm.source === undefined) return undefined;
  const { uri, sha256 } = arm.source;
  const hash = definitionHash(spec.definition);
  const again = entryOf(before.history.find((one) => one.hash === hash)?.artifacts, arm.name);
  if (again !== undefined) return { digest: again, firm: true, sha256 };
  const artifacts = before.history[0]?.artifacts ?? {};
  const known = parseModel(before.definition).arms.filter(
    ({ name, source }) => source?.uri === uri && entryOf(artifacts, name) !== undefined,
  );
  const exact = known.find(({ version }) => version === arm.version);
  const found = exact ?? known[0];
  const digest = entryOf(artifacts, found?.name ?? '');
  if (digest === undefined) return undefined;
  return { digest, firm: exact !== undefined, sha256: found?.source?.sha256 };
}

/** The fields of a record that the registry knows; the adapter adds the arms. */
export function registryFields(
  stored: StoredModel,
): Omit<ModelRecord, 'spec' | 'arms' | 'replicas'> {
  const { revision, hash, manager, createdAt, updatedAt, deleting, state } = stored;
  const fixed = { revision, hash, manager, createdAt, updatedAt, deleting };
  return { ...fixed, ...(state && { state }) };
}
