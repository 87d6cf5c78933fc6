import type { PolicyContext } from './context';
import type { Check, Violation } from './shape';
import { below, plain, violation } from './shape';

/** The forms of 1.28 in which a pod turns its own confinement off. */
const CONFINEMENT =
  /(?:^|\.)(?:apparmor\.security\.beta|seccomp\.security\.alpha)\.kubernetes\.io\//;

/**
 * Keys by which webhooks, runtimes and network plugins hand out what the pod itself may not ask
 * for: sidecars with volumes, secrets of a vault, devices, roles of a cloud, networks. The list
 * cannot be complete; a cluster that acts on others must refuse them itself.
 */
const HANDED_OUT: readonly RegExp[] = [
  /(?:^|\.)(?:istio\.io|linkerd\.io|dapr\.io|consul\.hashicorp\.com)\//,
  /^(?:vault|secrets?|injector|inject|sidecar|agent)[^/]*\//,
  /(?:^|\.)(?:cni\.cncf\.io|cni\.projectcalico\.org|ovn\.org|cilium\.io)\//,
  /^(?:cdi\.k8s\.io|iam\.amazonaws\.com|iam\.cloud\.google\.com)\//,
  /^io\.(?:kubernetes\.cri-o|kubernetes\.cri|katacontainers|containerd)\b/,
  /^(?:run|oci|nri)\.[^/]*/,
  // Agents that ask any address, or write any name, for who says so.
  /^(?:ad\.datadoghq\.com|external-dns\.alpha\.kubernetes\.io)\//,
];

export const isHandedOut = (key: string): boolean => HANDED_OUT.some((one) => one.test(key));

/** Annotations of objects and pods. What the definition in force already has may stay. */
export function annotationsCheck({ admin, before }: PolicyContext): Check {
  return (value, at) =>
    Object.entries(plain(value)).flatMap(([key, text]): readonly Violation[] => {
      if (CONFINEMENT.test(key) && text !== 'runtime/default') {
        return violation(below(at, key), text, 'absent', 'a model stays confined');
      }
      if (admin || !isHandedOut(key) || before?.annotations[key] === text) return [];
      const allowed = 'absent: something in the cluster may act on it';
      return violation(below(at, key), text, allowed, 'ask with the scope admin');
    });
}
