import type { k8s } from 'cdk8s-plus-28';
import type { Arm, Environment, ModelSpec } from '../spec';
import { factsOf } from './context';
import type { Plain } from './kube';

/** Numeric user of our own image. */
export const RUNTIME_UID = 10_001;

/** User and group of a container; absent: those of the image. */
export interface Identity {
  readonly runAsUser?: number;
  readonly runAsGroup?: number;
}

/** Without a stated group the process may have the group of root. */
export const RUNTIME_IDENTITY: Identity = { runAsUser: RUNTIME_UID, runAsGroup: RUNTIME_UID };

/** User of an arm: from the definition, else from the server table; an own image keeps its own. */
export function userOf(spec: ModelSpec, arm: Arm): number | undefined {
  if (spec.runAsUser !== undefined) return spec.runAsUser;
  return arm.server.kind === 'custom' ? undefined : factsOf(spec, arm).uid;
}

/** Third-party images give their files to groups of their own, often that of root. */
export function identityOf(spec: ModelSpec, arm: Arm): Identity {
  const runAsUser = userOf(spec, arm);
  if (arm.server.kind === 'onnx' && runAsUser === RUNTIME_UID) return RUNTIME_IDENTITY;
  return runAsUser === undefined ? {} : { runAsUser };
}

/** Pod security by the profile of the environment; `platform` emits none. */
export function podSecurity(
  { podSecurity: profile }: Environment,
  fsGroup: number | undefined,
): { securityContext?: Plain<k8s.PodSecurityContext> } {
  if (profile === 'platform') return {};
  return {
    securityContext: {
      ...(profile === 'restricted' && { runAsNonRoot: true }),
      seccompProfile: { type: 'RuntimeDefault' },
      // Volumes get this group; without the policy a large volume is walked at every start.
      ...(fsGroup !== undefined && { fsGroup, fsGroupChangePolicy: 'OnRootMismatch' }),
    },
  };
}

/** The same for a container. `baseline` allows root and a writable root file system. */
export function containerSecurity(
  { podSecurity: profile }: Environment,
  identity: Identity,
): { securityContext?: Plain<k8s.SecurityContext> } {
  if (profile === 'platform') return {};
  return {
    securityContext: {
      allowPrivilegeEscalation: false,
      ...identity,
      ...(profile === 'restricted' && {
        runAsNonRoot: true,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      }),
    },
  };
}
