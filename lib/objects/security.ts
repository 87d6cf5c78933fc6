import type { k8s } from 'cdk8s-plus-28';
import type { Arm, Environment, ModelSpec } from '../spec';
import { factsOf } from './context';
import type { Plain } from './kube';

/** Numeric user of our own image. */
export const RUNTIME_UID = 10_001;

/** Who a container runs as; what is not said is the image's choice. */
export interface Identity {
  readonly runAsUser?: number;
  readonly runAsGroup?: number;
}

/** Our own image has a group as well; without a stated group it may be that of root. */
export const RUNTIME_IDENTITY: Identity = { runAsUser: RUNTIME_UID, runAsGroup: RUNTIME_UID };

/** The user an arm runs as: the definition's, else the server table's; an own image keeps its own. */
export function userOf(spec: ModelSpec, arm: Arm): number | undefined {
  if (spec.runAsUser !== undefined) return spec.runAsUser;
  return arm.server.kind === 'custom' ? undefined : factsOf(spec, arm).uid;
}

/** The images of others give their files to groups of their own choice, often that of root. */
export function identityOf(spec: ModelSpec, arm: Arm): Identity {
  const runAsUser = userOf(spec, arm);
  if (arm.server.kind === 'onnx' && runAsUser === RUNTIME_UID) return RUNTIME_IDENTITY;
  return runAsUser === undefined ? {} : { runAsUser };
}

/** Pod security as the profile of the environment asks for it; `platform` leaves it to the platform. */
export function podSecurity(
  { podSecurity: profile }: Environment,
  fsGroup: number | undefined,
): { securityContext?: Plain<k8s.PodSecurityContext> } {
  if (profile === 'platform') return {};
  return {
    securityContext: {
      ...(profile === 'restricted' && { runAsNonRoot: true }),
      seccompProfile: { type: 'RuntimeDefault' },
      // Volumes are handed over to this group; without the policy a large one is walked at every
      // start.
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
