import type { Environment } from '../../../../lib/spec';
import type { PolicyRules } from '../../../core/policy/policy';
import { ClusterError } from '../../port';
import { KubeError } from '../client/api-error';
import type { LiveQuery } from './live-objects';
import { clusterErrorOf } from './apply-refusal';
import type { OverridesStore } from './overrides-store';

/** A namespace with models, and what is needed to change them. */
export interface ApplyContext extends LiveQuery {
  /** With this very namespace in it. */
  readonly environment: Environment;
  readonly overrides: OverridesStore;
  /** Git is the only writer. */
  readonly gitops: boolean;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** What definitions may ask for whose objects our account makes for somebody else. */
  readonly rules: PolicyRules;
}

/** A call to the API server whose failure is a refusal in the port's words. */
export async function mapApiError<T>(what: string, call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw error instanceof KubeError ? clusterErrorOf(what, error) : error;
  }
}

/** Whatever is refused: with the plan, so that Git can be given it. */
export function readOnlyError(message: string, plan: readonly object[]): ClusterError {
  return new ClusterError('READ_ONLY', message, plan);
}
