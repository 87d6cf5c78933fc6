import type { ModelSpec } from '../../lib/spec';
import { definitionHash, slugOf } from '../../lib/spec';
import type { ModelState } from '../core/snapshot';
import type { ApplyOptions, RemoveOptions, Revision } from './port';
import { ClusterError } from './port';

/** What is kept of a model. Plain JSON: adapters store it as it is. */
export interface Stored {
  readonly id: string;
  readonly definition: ModelSpec['definition'];
  readonly revision: number;
  readonly hash: string;
  readonly manager: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly deleting: boolean;
  readonly state?: ModelState | undefined;
  /** Newest first. */
  readonly history: readonly StoredRevision[];
}

/** A revision, and which bytes its `file` sources were: URI → SHA-256. */
export interface StoredRevision extends Revision {
  readonly artifacts?: Readonly<Record<string, string>> | undefined;
}

/** Enough to go back several times; `revisionHistoryLimit` of a Deployment is of the same kind. */
export const HISTORY_LIMIT = 10;

/** The service's own writers change each other's models; any other manager (Git) owns what it wrote. */
const OWN_MANAGERS = new Set(['rest', 'files']);

export interface Proposal {
  readonly spec: ModelSpec;
  readonly options: ApplyOptions;
  /** URI → SHA-256 of `file` sources. */
  readonly artifacts?: Readonly<Record<string, string>> | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** What an apply comes to. `changed: false` may still carry a new state. */
export interface Applying {
  readonly stored: Stored;
  readonly changed: boolean;
}

function refuseClash(id: string, all: Iterable<Stored>): void {
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
  stored: Stored,
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

function refuseStale(stored: Stored | undefined, id: string, { ifRevision }: ApplyOptions): void {
  if (ifRevision === undefined || stored?.revision === ifRevision) return;
  throw new ClusterError(
    'REVISION_CONFLICT',
    `model ${id} is at revision ${stored?.revision ?? 0}, not ${ifRevision}; read it again, then change it`,
  );
}

const sameArtifacts = (a: StoredRevision['artifacts'], b: StoredRevision['artifacts']): boolean =>
  JSON.stringify(Object.entries(a ?? {}).sort()) === JSON.stringify(Object.entries(b ?? {}).sort());

function withState(stored: Stored, state: ApplyOptions['state']): Stored {
  return state === undefined ? stored : { ...stored, state: { ...state, hash: stored.hash } };
}

function nextRevision(before: Stored | undefined, proposal: Proposal, hash: string): Stored {
  const { spec, options, artifacts, now } = proposal;
  const { by, manager, state } = options;
  const revision = (before?.revision ?? 0) + 1;
  const entry: StoredRevision = {
    revision,
    hash,
    version: spec.version,
    by,
    manager,
    at: now,
    definition: spec.definition,
    ...(artifacts !== undefined && { artifacts }),
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
    // What was remembered belongs to the definition before: it ends here.
    ...(state !== undefined && { state: { ...state, hash } }),
    history: [entry, ...(before?.history ?? [])].slice(0, HISTORY_LIMIT),
  };
}

/**
 * The rules of `Cluster.apply`, the same for every adapter that keeps its own registry.
 * @throws ClusterError; nothing is changed then
 */
export function applyTo(all: ReadonlyMap<string, Stored>, proposal: Proposal): Applying {
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
    return { stored: withState(before, options.state), changed: false };
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
export function findStored(all: ReadonlyMap<string, Stored>, id: string): Stored {
  const found = all.get(id);
  if (found !== undefined) return found;
  throw new ClusterError(
    'MODEL_NOT_FOUND',
    `there is no model ${id}; GET /api/v1/models lists them`,
  );
}

/** Marks a model as on its way out. */
export function removing(stored: Stored, options: RemoveOptions): Stored {
  // `force` of a removal skips the drain; it does not take a model away from its owner.
  refuseForeign(stored, { manager: options.manager });
  return { ...stored, deleting: true };
}

/** Remembers something beside the definition; undefined forgets it. */
export function remembering(stored: Stored, state: ModelState | undefined): Stored {
  if (state !== undefined && state.hash !== stored.hash) {
    throw new ClusterError(
      'REVISION_CONFLICT',
      `model ${stored.id} has another definition by now; look again, then decide`,
    );
  }
  return { ...stored, state };
}

/** What callers see of the history. */
export function revisionsOf({ history }: Stored): readonly Revision[] {
  return history.map((one) => {
    const { revision, hash, version, by, manager, at, definition } = one;
    return { revision, hash, version, by, manager, at, definition };
  });
}
