import { Testing } from 'cdk8s';
import type { ServiceMode } from '../../lib/constructs/service-rules';
import { ModelService } from '../../lib/constructs';
import type { Manifest } from '../support/manifests';

const KINDS = new Set(['ServiceAccount', 'Role', 'RoleBinding', 'Lease', 'ConfigMap']);

/** What the service needs to be let in and to remember, as `ModelService` renders it. */
export function roleObjects(namespace: string, mode: ServiceMode): object {
  const chart = Testing.chart();
  const environment = { namespace };
  const config = { auth: { mode: 'none' } } as const;
  // oxlint-disable-next-line no-new
  new ModelService(chart, 'service', { environment, mode, config });
  const all = Testing.synth(chart) as Manifest[];
  return { apiVersion: 'v1', kind: 'List', items: all.filter(({ kind }) => KINDS.has(kind)) };
}
