import { MANAGER } from '../../../lib/objects';
import type { Environment, ModelSpec } from '../../../lib/spec';
import { policyViolations } from '../../core/policy';
import type { ApplyOptions } from '../port';
import { ClusterError } from '../port';
import type { KubeObject } from './api';
import { STATE_NAME } from './state';

/** What models may ask for beside their own; see `kubernetes` and `models` of the configuration. */
export interface Allowed {
  readonly secrets: readonly string[];
  /** Undefined: any. */
  readonly registries?: readonly string[] | undefined;
  readonly hosts?: readonly string[] | undefined;
}

export interface Asking {
  readonly spec: ModelSpec;
  readonly before: ModelSpec | undefined;
  readonly objects: readonly KubeObject[];
  readonly options: Pick<ApplyOptions, 'manager' | 'admin'>;
  readonly environment: Environment;
  /** SHA-256 of files the cluster holds already. */
  readonly files: ReadonlySet<string>;
}

/** The way in whose callers are not those who own the cluster. */
const REST = 'rest';

/**
 * Callers of the REST API may have models of their own and nothing else. Whoever writes files or to
 * the cluster itself is bound by that already.
 * @throws ClusterError INVALID_MODEL_CONFIG with every violation
 */
export function permit(allowed: Allowed, asking: Asking): void {
  const { spec, before, objects, options, environment, files } = asking;
  if (options.manager !== REST) return;
  const violations = policyViolations(objects, {
    spec,
    before,
    namespace: environment.namespace,
    admin: options.admin === true,
    allowedSecrets: allowed.secrets,
    pullSecrets: environment.imagePullSecrets,
    allowedRegistries: allowed.registries,
    trustedImages: Object.values(environment.images),
    allowedHosts: allowed.hosts,
    own: [MANAGER, STATE_NAME],
    ownLabels: { ...environment.runtime.labels, app: MANAGER },
    knownFiles: files,
  });
  if (violations.length === 0) return;
  const text = violations.map(({ message }) => message).join('\n');
  throw new ClusterError('INVALID_MODEL_CONFIG', text, violations);
}
