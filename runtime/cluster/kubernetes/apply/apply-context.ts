import type { Environment } from '../../../../lib/spec';
import type { PolicyRules } from '../../../core/policy/policy';
import { ClusterError } from '../../port';
import { KubeError } from '../client/api-error';
import type { LiveQuery } from './live-objects';
import { clusterErrorOf } from './apply-refusal';
import type { OverridesStore } from './overrides-store';

/** Dependencies of every change to the models of a namespace. */
export interface ApplyContext extends LiveQuery {
  /** Its `namespace` is the one above. */
  readonly environment: Environment;
  readonly overrides: OverridesStore;
  /** Git is the only writer. */
  readonly gitops: boolean;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Policy for definitions whose objects the service account creates for a caller. */
  readonly rules: PolicyRules;
}

/** Awaits a call to the API server and maps its KubeError to a ClusterError. */
export async function mapApiError<T>(what: string, call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw error instanceof KubeError ? clusterErrorOf(what, error) : error;
  }
}

/** The details are the plan, so that the caller can make the change in Git. */
export function readOnlyError(message: string, plan: readonly object[]): ClusterError {
  return new ClusterError('READ_ONLY', message, plan);
}
