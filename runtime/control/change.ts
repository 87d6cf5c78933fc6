import type { ModelSpec } from '../../lib/spec';
import type { Caller } from '../auth';
import type { ModelRecord, ModelOverrides } from '../cluster/port';
import { ClusterError } from '../cluster/port';
import { overridesOf } from '../core/routing/build-table';
import type { Warning } from './admit';
import { admit, requireAdmin } from './admit';
import type { CallResponse, CallRequest } from './define-call';
import { withRefusedPlan } from './change-plan';
import type { ControlContext } from './context';
import { Problem } from './problem';
import { READ_YOUR_WRITES_MS } from './routing-view';

/** Manager recorded for changes over REST. */
export const MANAGER = 'rest';

/** Decisions on one change: each but the last was overtaken by another writer's definition. */
const MAX_DECISIONS = 3;

/** The desired result of a change. */
export interface DesiredChange {
  readonly spec: ModelSpec;
  /** Overrides kept with the new definition; undefined ends overrides and promotions. */
  readonly state?: Omit<ModelOverrides, 'hash'> | undefined;
  /** The revision rolled back to: values it held are allowed again. */
  readonly earlier?: ModelSpec | undefined;
}

/** The overrides without an earlier abort of this candidate, so that it gets traffic again. */
export function withoutShare(record: ModelRecord, candidate: string): Omit<ModelOverrides, 'hash'> {
  const { hash: _, shares = {}, ...rest } = overridesOf(record) ?? { hash: '' };
  const others = Object.entries(shares).filter(([name]) => name !== candidate);
  return others.length === 0 ? rest : { ...rest, shares: Object.fromEntries(others) };
}

/**
 * Overrides that survive a new definition: a model stopped by hand stays so until it is scaled, and
 * a rollout goes on unless the definition has another one.
 */
export function keptOverrides(record: ModelRecord): Omit<ModelOverrides, 'hash'> | undefined {
  const isStopped = overridesOf(record)?.stopped === true;
  const rollout = record.state?.rollout;
  if (!isStopped && rollout === undefined) return undefined;
  return { ...(isStopped && { stopped: true }), ...(rollout !== undefined && { rollout }) };
}

/** Result of a change. */
export interface ChangeResult {
  readonly record: ModelRecord;
  readonly revision: number;
  readonly changed: boolean;
  readonly warnings: readonly Warning[];
}

/** The caller of a change and its conditions. */
export interface ChangeRequest {
  readonly caller: Caller;
  readonly ifMatch: string | undefined;
  readonly force: boolean;
}

export function changeRequestOf({
  caller,
  ifMatch,
  query,
}: CallRequest<unknown, { force: boolean }>): ChangeRequest {
  return { caller, ifMatch, force: query.force };
}

/** Files and REST may replace each other; taking over from any other manager needs `admin`. */
export function forcesOwnership({ caller, force }: ChangeRequest): boolean {
  if (force) requireAdmin(caller, 'force');
  return force;
}

/** `"3"`, `"3", "4"` or `*` (RFC 9110, 13.1.1): is the stored revision one of them? */
function matches(ifMatch: string, revision: number): boolean {
  const tags = ifMatch.split(',').map((tag) => tag.trim());
  const wrong = tags.find((tag) => tag !== '*' && !/^(?:W\/)?"[^"]*"$/.test(tag));
  if (wrong !== undefined) {
    throw new Problem('INVALID_REQUEST', 'If-Match must be an ETag in quotes, such as "3"');
  }
  return tags.some((tag) => tag === '*' || tag === etagOf(revision));
}

export function etagOf(revision: number): string {
  return `"${revision}"`;
}

/** @throws Problem REVISION_CONFLICT */
export function requireMatch(ifMatch: string | undefined, { spec, revision }: ModelRecord): void {
  if (ifMatch === undefined || matches(ifMatch, revision)) return;
  throw new Problem(
    'REVISION_CONFLICT',
    `${spec.id} is at revision ${revision} by now; GET it again and repeat the change on that`,
  );
}

/** @throws Problem FIELD_CONFLICT when the model goes away */
function requireNotDeleting({ spec, deleting }: ModelRecord): void {
  if (!deleting) return;
  throw new Problem('FIELD_CONFLICT', `${spec.id} is being deleted; wait until it is gone`);
}

/** @throws Problem FIELD_CONFLICT while a promotion would be cut off */
export function requireNoPromotion(record: ModelRecord): void {
  const promote = overridesOf(record)?.promote;
  if (promote === undefined) return;
  const { candidate, phase } = promote;
  throw new Problem(
    'FIELD_CONFLICT',
    `${record.spec.id}: ${candidate} is being promoted (${phase}); wait until it is done, or POST …/abort first`,
  );
}

async function attempt(
  context: ControlContext,
  asker: ChangeRequest,
  record: ModelRecord,
  { spec, state, earlier }: DesiredChange,
): Promise<ChangeResult> {
  const warnings = admit(context, asker.caller, { spec, previous: record.spec, earlier });
  const applied = context.cluster.apply(spec, {
    by: asker.caller.name,
    manager: MANAGER,
    ifRevision: record.revision,
    force: forcesOwnership(asker),
    ...(state !== undefined && { state }),
  });
  const { revision, changed } = await withRefusedPlan(context, { id: spec.id, spec }, applied);
  await waitForRevision(context, spec.id, revision);
  return { record, revision, changed, warnings };
}

/** Waits until our view shows the revision, so that the caller's next GET does. */
export async function waitForRevision(
  { routingView }: ControlContext,
  id: string,
  revision: number,
): Promise<void> {
  await routingView.until(
    ({ models }) => (models.get(id)?.revision ?? 0) >= revision,
    READ_YOUR_WRITES_MS,
  );
}

/** The state that a change is decided on. */
const basisOf = (record: ModelRecord | undefined): string =>
  JSON.stringify([record?.revision, record?.state]);

/**
 * Acts on the newest definition and overrides of a model: one change after the other, and again
 * when another router replaced them at the same moment (unless the caller meant the earlier ones).
 */
export function decideOnNewest<T>(
  { routingView, locks }: ControlContext,
  id: string,
  { ifMatch }: Pick<ChangeRequest, 'ifMatch'>,
  act: (record: ModelRecord) => Promise<T>,
): Promise<T> {
  return locks.run(id, async () => {
    for (let left = MAX_DECISIONS; ; left -= 1) {
      const record = routingView.findModel(id);
      requireNotDeleting(record);
      requireMatch(ifMatch, record);
      try {
        return await act(record);
      } catch (error) {
        const isLost = error instanceof ClusterError && error.code === 'REVISION_CONFLICT';
        if (!isLost || left === 1) throw error;
        const isNewer = (now?: ModelRecord): boolean => basisOf(now) !== basisOf(record);
        await routingView.until(({ models }) => isNewer(models.get(id)), READ_YOUR_WRITES_MS);
      }
    }
  });
}

/** Changes a stored definition. */
export const changeModel = (
  context: ControlContext,
  id: string,
  asker: ChangeRequest,
  want: (record: ModelRecord) => DesiredChange | Promise<DesiredChange>,
): Promise<ChangeResult> =>
  decideOnNewest(context, id, asker, async (record) =>
    attempt(context, asker, record, await want(record)),
  );

/** Response to an accepted change. */
export function accepted(
  id: string,
  { revision, warnings }: Pick<ChangeResult, 'revision' | 'warnings'>,
  message: string,
  more: object = {},
): CallResponse {
  return {
    status: 202,
    headers: { etag: etagOf(revision) },
    body: {
      deployment_id: `${id}-${revision}`,
      model_id: id,
      revision,
      message,
      warnings,
      ...more,
    },
    model: id,
    revision,
  };
}
