import type { ArmRecord, ModelRecord, Why } from './snapshot';

export const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

/**
 * What was thrown while the service worked on one model, as the status of that model. It is a
 * defect of ours: the other models and the process go on.
 */
export function faultWhy(error: unknown, object: string, since: number): Why {
  return {
    cause: 'internal-fault',
    message: `the service failed while it worked on this model: ${messageOf(error)}; change or remove the model, and report this as a defect`,
    object,
    since,
  };
}

function withWhy(arm: ArmRecord, why: Why): ArmRecord {
  return arm.why === undefined ? { ...arm, why } : arm;
}

/** The arms of a model of which something threw; arms that could not be read have no replicas. */
export function faultedArms(
  spec: ModelRecord['spec'],
  arms: readonly ArmRecord[],
  why: Why,
): readonly ArmRecord[] {
  if (arms.length > 0) return arms.map((arm) => withWhy(arm, why));
  return spec.arms.map(({ name, version }) => {
    return { name, version, desired: 1, current: 0, ready: 0, updated: 0, why };
  });
}
