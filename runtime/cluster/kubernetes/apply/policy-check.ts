import type { Fault, ModelSpec } from '../../../../lib/spec';
import { canonical, formatFault, inForm, modelSchema, parseModel } from '../../../../lib/spec';
import { policyFaults } from '../../../core/policy/policy';
import { ClusterError } from '../../port';
import type { StoredRevision } from '../../registry';
import { renderedFrom } from './stored-definition';
import { entriesOf } from './history';
import type { LiveModel } from './live-objects';
import type { ApplyContext } from './apply-context';

/** Hashes that Deployments run: writing one needs another right than writing a ConfigMap. */
function runningHashes({ objects }: LiveModel): ReadonlySet<string> {
  const deployments = [...objects.found.values()].filter(({ kind }) => kind === 'Deployment');
  return new Set(deployments.map(renderedFrom).filter((hash) => hash !== undefined));
}

/** The definition without scaling, which a rollback keeps at its current value. */
function textOf(definition: StoredRevision['definition']): string {
  return JSON.stringify(canonical({ ...definition, scaling_config: undefined }));
}

/** Stored revisions that a Deployment runs. */
function runningOf(live: LiveModel): readonly ModelSpec[] {
  const running = runningHashes(live);
  const history = (live.stored?.history ?? []).filter(({ hash }) => running.has(hash));
  return history.map(({ definition }) => parseModel(definition));
}

/** Stored revisions with this definition: the change is a rollback to one of them. */
function againOf({ objects }: LiveModel, { definition }: ModelSpec): readonly ModelSpec[] {
  const wanted = textOf(definition);
  const again = entriesOf(objects.revisions).filter((kept) => textOf(kept.definition) === wanted);
  return again.map((kept) => parseModel(kept.definition));
}

function faultsOf(
  { rules, environment }: ApplyContext,
  spec: ModelSpec,
  held: readonly ModelSpec[],
): readonly Fault[] {
  return policyFaults({ spec, held, rules, environment });
}

/**
 * Checks a definition whose objects the service account creates for a caller of REST. Authors of
 * files or of objects in the cluster have those rights themselves.
 * @throws ClusterError INVALID_MODEL_CONFIG with every fault
 */
export function checkPolicy(context: ApplyContext, live: LiveModel, spec: ModelSpec): void {
  const found = faultsOf(context, spec, [...runningOf(live), ...againOf(live, spec)]);
  if (found.length === 0) return;
  const faults = found.map((one) => inForm(one, modelSchema, 'wire'));
  const text = faults.map((one) => formatFault(one)).join('\n');
  throw new ClusterError('INVALID_MODEL_CONFIG', text, faults);
}

/**
 * Selects the revisions to store, so that REST can roll back to them: not those that were written
 * past the service and that the policy refuses.
 */
export function isKeepable(
  context: ApplyContext,
  live: LiveModel,
): (entry: StoredRevision) => boolean {
  const kept = new Set(entriesOf(live.objects.revisions).map(({ hash }) => hash));
  const running = runningHashes(live);
  return ({ hash, definition }) => {
    if (running.has(hash) || kept.has(hash)) return true;
    return faultsOf(context, parseModel(definition), runningOf(live)).length === 0;
  };
}
