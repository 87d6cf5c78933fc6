import type { k8s } from 'cdk8s-plus-28';
import type { Arm, ModelSpec } from '../spec';
import { artifactPath } from './artifact';
import { factsOf } from './context';
import type { Plain } from './kube';

type Variable = Plain<k8s.EnvVar>;

/** Kubernetes expands `$(NAME)` in values and turns `$$` into `$`; ours arrive as they were written. */
function literal(value: string): string {
  return /\$[$(]/.test(value) ? value.replaceAll('$', '$$$$') : value;
}

/** What an own image may want to know; a server of ours is told by its arguments. */
function ownImageEnv(spec: ModelSpec, arm: Arm): Readonly<Record<string, string>> {
  const path = artifactPath(spec, arm);
  return {
    AI_MODEL_ID: spec.id,
    AI_MODEL_VERSION: arm.version,
    ...(path !== undefined && { AI_MODEL_PATH: path }),
  };
}

/**
 * HOME of a server that would else write to a read-only root, and its name where the image may have
 * no user of its number. Own images keep theirs.
 */
function serverEnv(spec: ModelSpec, arm: Arm): Readonly<Record<string, string>> {
  const { home, user } = factsOf(spec, arm);
  return { HOME: home, ...(user !== undefined && { USER: user, LOGNAME: user }) };
}

/** Environment variables of an arm, sorted: equal definitions give equal pods, however they were written. */
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
