import type { Environment } from '../../../../lib/spec';
import type { PolicyRules } from '../../../core/policy/policy';
import { ClusterError } from '../../port';
import { KubeError } from '../client/api-error';
import type { LookOptions } from './live-objects';
import { refusalOf } from './apply-refusal';
import type { States } from './overrides-store';

/** A namespace with models, and what is needed to change them. */
export interface Site extends LookOptions {
  /** With this very namespace in it. */
  readonly environment: Environment;
  readonly states: States;
  /** Git is the only writer. */
  readonly gitops: boolean;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** What definitions may ask for whose objects our account makes for somebody else. */
  readonly rules: PolicyRules;
}

/** A call to the API server whose failure is a refusal in the port's words. */
export async function asked<T>(what: string, call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw error instanceof KubeError ? refusalOf(what, error) : error;
  }
}

/** Whatever is refused: with the plan, so that Git can be given it. */
export function readOnly(message: string, plan: readonly object[]): ClusterError {
  return new ClusterError('READ_ONLY', message, plan);
}
