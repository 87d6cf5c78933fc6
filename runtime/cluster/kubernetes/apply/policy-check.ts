import type { Fault, ModelSpec } from '../../../../lib/spec';
import { canonical, formatFault, inForm, modelSchema, parseModel } from '../../../../lib/spec';
import { policyFaults } from '../../../core/policy/policy';
import { ClusterError } from '../../port';
import type { StoredRevision } from '../../registry';
import { renderedFrom } from './stored-definition';
import { entriesOf } from './history';
import type { Sight } from './live-objects';
import type { Site } from './apply-context';

/** A ConfigMap may be written past the service. What runs was made by one who may make Deployments. */
function runningHashes({ there }: Sight): ReadonlySet<string> {
  const deployments = [...there.found.values()].filter(({ kind }) => kind === 'Deployment');
  return new Set(deployments.map(renderedFrom).filter((hash) => hash !== undefined));
}

/** Scaling goes on from where it is when a promotion is taken back. */
function textOf(definition: StoredRevision['definition']): string {
  return JSON.stringify(canonical({ ...definition, scaling_config: undefined }));
}

/** The definitions that run: what the registry says and what was kept, as far as pods are of it. */
function runningOf(sight: Sight): readonly ModelSpec[] {
  const running = runningHashes(sight);
  const history = (sight.stored?.history ?? []).filter(({ hash }) => running.has(hash));
  return history.map(({ definition }) => parseModel(definition));
}

/** A kept revision that is gone back to. */
function againOf({ there }: Sight, { definition }: ModelSpec): readonly ModelSpec[] {
  const wanted = textOf(definition);
  const again = entriesOf(there.revisions).filter((kept) => textOf(kept.definition) === wanted);
  return again.map((kept) => parseModel(kept.definition));
}

function faultsOf(
  { rules, environment }: Site,
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
export function permit(site: Site, sight: Sight, spec: ModelSpec): void {
  const found = faultsOf(site, spec, [...runningOf(sight), ...againOf(sight, spec)]);
  if (found.length === 0) return;
  const faults = found.map((one) => inForm(one, modelSchema, 'wire'));
  const text = faults.map((one) => formatFault(one)).join('\n');
  throw new ClusterError('INVALID_MODEL_CONFIG', text, faults);
}

/**
 * May this revision be kept, so that REST can go back to it? What was written past the service, and
 * asks for more than REST may, is not one.
 */
export function isKeepable(site: Site, sight: Sight): (entry: StoredRevision) => boolean {
  const kept = new Set(entriesOf(sight.there.revisions).map(({ hash }) => hash));
  const running = runningHashes(sight);
  return ({ hash, definition }) => {
    if (running.has(hash) || kept.has(hash)) return true;
    return faultsOf(site, parseModel(definition), runningOf(sight)).length === 0;
  };
}
