import type { ModelChange } from '../change';
import type { Risk } from '../schema';
import { SEVERITIES } from '../schema';
import { egressWidened, ingressWidened, newSecret, securityWeakened } from './access';
import {
  coldStart,
  graceWeakened,
  readinessWeakened,
  redundancyLost,
  startupBudgetLowered,
  updateOutage,
} from './availability';
import { capacityBelowShare, memoryLowered, quotaAtMaximum, quotaAtMinimum } from './capacity';
import {
  capabilityRemoved,
  limitsLowered,
  protocolChanged,
  retriesAllowed,
  signatureChanged,
} from './contract';
import { budgetExceeded } from './cost';
import { immutableField, namespaceMoved, waiverAdded, waiverEnds } from './definition';
import type { PlanRule } from './rule';
import { rolloutJumps, rolloutLoosened } from './release';
import { imageNotPinned, kindChanged, registryWidened, sourceNotPinned } from './supply';
import {
  cohortKeyChanged,
  cohortsMoveBackwards,
  modelDeleted,
  promoteInOneStep,
  saltChanged,
  versionReused,
} from './traffic';

/** Every rule, in the order of reports within one severity. */
export const PLAN_RULES: readonly PlanRule[] = [
  modelDeleted,
  cohortsMoveBackwards,
  promoteInOneStep,
  saltChanged,
  cohortKeyChanged,
  protocolChanged,
  signatureChanged,
  immutableField,
  namespaceMoved,
  updateOutage,
  graceWeakened,
  quotaAtMinimum,
  budgetExceeded,
  egressWidened,
  registryWidened,
  securityWeakened,
  quotaAtMaximum,
  rolloutJumps,
  rolloutLoosened,
  capacityBelowShare,
  memoryLowered,
  readinessWeakened,
  startupBudgetLowered,
  redundancyLost,
  coldStart,
  versionReused,
  kindChanged,
  limitsLowered,
  retriesAllowed,
  capabilityRemoved,
  ingressWidened,
  newSecret,
  imageNotPinned,
  sourceNotPinned,
  waiverAdded,
  waiverEnds,
];

/** Risks of a change, worst first. */
export function risksOf(change: ModelChange): Risk[] {
  const found = PLAN_RULES.flatMap(({ id, severity, check }) =>
    check(change).map((one): Risk => ({ rule: id, severity, ...one })),
  );
  const rank = ({ severity }: Risk): number => SEVERITIES.indexOf(severity);
  return found.toSorted((a, b) => rank(a) - rank(b));
}
