import type { Fault, ModelSpec } from '../../../../lib/spec';
import { canonical, formatFault, inForm, modelSchema, parseModel } from '../../../../lib/spec';
import { policyFaults } from '../../../core/policy/policy';
import { ClusterError } from '../../port';
import type { StoredRevision } from '../../registry';
import { renderedFrom } from './stored-definition';
import { entriesOf } from './history';
import type { LiveModel } from './live-objects';
import type { ApplyContext } from './apply-context';

/** A ConfigMap may be written past the service. What runs was made by one who may make Deployments. */
function runningHashes({ objects }: LiveModel): ReadonlySet<string> {
  const deployments = [...objects.found.values()].filter(({ kind }) => kind === 'Deployment');
  return new Set(deployments.map(renderedFrom).filter((hash) => hash !== undefined));
}

/** Scaling goes on from where it is when a promotion is taken back. */
function textOf(definition: StoredRevision['definition']): string {
  return JSON.stringify(canonical({ ...definition, scaling_config: undefined }));
}

/** The definitions that run: what the registry says and what was kept, as far as pods are of it. */
function runningOf(live: LiveModel): readonly ModelSpec[] {
  const running = runningHashes(live);
  const history = (live.stored?.history ?? []).filter(({ hash }) => running.has(hash));
  return history.map(({ definition }) => parseModel(definition));
}

/** A kept revision that is gone back to. */
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
 * Objects that our account makes for somebody else follow from a definition that REST could give.
 * Whoever writes files of the service, or to the cluster itself, is bound by that already.
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
 * May this revision be kept, so that REST can go back to it? What was written past the service, and
 * asks for more than REST may, is not one.
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
