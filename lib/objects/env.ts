import type { k8s } from 'cdk8s-plus-28';
import type { Arm, ModelSpec } from '../spec';
import { artifactPath } from './artifact';
import { factsOf } from './context';
import type { Plain } from './kube';

type Variable = Plain<k8s.EnvVar>;

/** Escapes `$`: Kubernetes expands `$(NAME)` in values and turns `$$` into `$`. */
function literal(value: string): string {
  return /\$[$(]/.test(value) ? value.replaceAll('$', '$$$$') : value;
}

/** Variables for an image of one's own; known servers get the same by arguments. */
function ownImageEnv(spec: ModelSpec, arm: Arm): Readonly<Record<string, string>> {
  const path = artifactPath(spec, arm);
  return {
    AI_MODEL_ID: spec.id,
    AI_MODEL_VERSION: arm.version,
    ...(path !== undefined && { AI_MODEL_PATH: path }),
  };
}

/**
 * HOME of a server that would otherwise write to a read-only root, and its user name where the
 * image may have no user of that number. Own images keep their values.
 */
function serverEnv(spec: ModelSpec, arm: Arm): Readonly<Record<string, string>> {
  const { home, user } = factsOf(spec, arm);
  return { HOME: home, ...(user !== undefined && { USER: user, LOGNAME: user }) };
}

/** Environment variables of an arm, sorted: equal definitions give equal pods. */
export function envOf(spec: ModelSpec, arm: Arm): readonly Variable[] {
  const own = arm.server.kind === 'custom' ? ownImageEnv(spec, arm) : serverEnv(spec, arm);
  return Object.entries({ ...own, ...arm.env })
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) =>
      typeof value === 'string'
        ? { name, value: literal(value) }
        : { name, valueFrom: { secretKeyRef: { name: value.secret, key: value.key } } },
    );
}
