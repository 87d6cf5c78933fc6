import type { k8s } from 'cdk8s-plus-28';
import { canonical } from '../spec';

/**
 * cdk8s-plus-28's interfaces as they look when they are finished JSON: quantities and ports are
 * plain text or numbers, times are text. Only the types are used: its code drops `preStop.sleep`
 * and GPU counts.
 */
export type Plain<T> = 0 extends 1 & T
  ? T
  : T extends k8s.Quantity
    ? [k8s.Quantity] extends [T]
      ? string | number
      : PlainObject<T>
    : T extends Time
      ? string
      : T extends readonly (infer Item)[]
        ? readonly Plain<Item>[]
        : T extends object
          ? PlainObject<T>
          : T;
type Time = NonNullable<k8s.ObjectMeta['creationTimestamp']>;
type PlainObject<T> = { readonly [Key in keyof T]: Plain<T[Key]> };

/** A finished Kubernetes object: plain JSON, no undefined, keys in the order they are written. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Metadata;
  readonly [field: string]: unknown;
}

export interface Metadata {
  readonly name: string;
  readonly namespace?: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** The kinds that are made for a model and are part of Kubernetes. */
export interface Bodies {
  ConfigMap: k8s.KubeConfigMapProps;
  Deployment: k8s.KubeDeploymentProps;
  HorizontalPodAutoscaler: k8s.KubeHorizontalPodAutoscalerV2Props;
  Job: k8s.KubeJobProps;
  NetworkPolicy: k8s.KubeNetworkPolicyProps;
  PersistentVolumeClaim: k8s.KubePersistentVolumeClaimProps;
  PodDisruptionBudget: k8s.KubePodDisruptionBudgetProps;
  Service: k8s.KubeServiceProps;
  ServiceAccount: k8s.KubeServiceAccountProps;
}

/** Stable APIs only: all of these are in every Kubernetes since 1.28. */
export const API_VERSIONS: Readonly<Record<keyof Bodies, string>> = {
  ConfigMap: 'v1',
  Deployment: 'apps/v1',
  HorizontalPodAutoscaler: 'autoscaling/v2',
  Job: 'batch/v1',
  NetworkPolicy: 'networking.k8s.io/v1',
  PersistentVolumeClaim: 'v1',
  PodDisruptionBudget: 'policy/v1',
  Service: 'v1',
  ServiceAccount: 'v1',
};

/** Sorted keys, apiVersion, kind and metadata first, nothing undefined: the order cdk8s writes. */
export function finished(object: KubeObject): KubeObject {
  const { apiVersion, kind, metadata, ...rest } = canonical(object) as KubeObject;
  return { apiVersion, kind, metadata, ...rest };
}

/** An object of Kubernetes itself, its fields checked by the compiler. */
export function kubeObject<Kind extends keyof Bodies>(
  kind: Kind,
  metadata: Metadata,
  body: Omit<Plain<Bodies[Kind]>, 'metadata'>,
): KubeObject {
  return { apiVersion: API_VERSIONS[kind], kind, metadata, ...body };
}
