import { apply, kubectl, listOf } from './kubectl';

// The kinds of an operator for monitoring, where a cluster has none.

const GROUP = 'monitoring.coreos.com';

function definitionOf(kind: string): object {
  const plural = `${kind.toLowerCase()}s`;
  const schema = {
    openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
  };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: 'Namespaced',
      names: { kind, plural, singular: kind.toLowerCase() },
      versions: [{ name: 'v1', served: true, storage: true, schema }],
    },
  };
}

const KINDS = ['PodMonitor', 'PrometheusRule'].map(definitionOf);
const NAMES = ['podmonitors', 'prometheusrules'].map((plural) => `crd/${plural}.${GROUP}`);

/** Makes them, unless they are there; what comes back takes them away again. */
export async function monitoringKinds(): Promise<() => Promise<unknown>> {
  const found = await kubectl(['get', ...NAMES, '--ignore-not-found', '-o', 'name']);
  if (found !== '') return () => Promise.resolve();
  await apply(KINDS);
  await kubectl(['wait', '--for=condition=Established', ...NAMES, '--timeout=60s']);
  return () => kubectl(['delete', '--ignore-not-found', '-f', '-'], listOf(KINDS));
}
