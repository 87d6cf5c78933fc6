// What applying some manifests adds to a cluster, counted:
//   npx tsx scripts/footprint.ts FILE…
// Objects that an operator makes of its own resources later are not in its files and not counted.
import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { quantityValue } from '../lib/spec/quantity';

const container = z.object({
  resources: z.object({ requests: z.record(z.string(), z.coerce.string()).optional() }).optional(),
});
const object = z.object({
  kind: z.string(),
  metadata: z.object({ name: z.string() }),
  webhooks: z.array(z.unknown()).optional(),
  spec: z
    .looseObject({
      replicas: z.int().optional(),
      minReplicas: z.int().nullish(),
      scaleTargetRef: z.object({ name: z.string() }).optional(),
      template: z.looseObject({ spec: z.object({ containers: z.array(container) }) }).optional(),
    })
    .optional(),
});
type Manifest = z.output<typeof object>;

const WORKLOADS: ReadonlySet<string> = new Set(['Deployment', 'StatefulSet', 'DaemonSet']);

export interface Footprint {
  readonly objects: number;
  readonly customResourceDefinitions: number;
  /** Calls that the API server makes before it takes an object. */
  readonly webhooks: number;
  readonly clusterRoles: number;
  /** That run while no model does; an autoscaler's minimum, else `replicas`. */
  readonly pods: number;
  /** Cores and bytes that those pods ask for together. */
  readonly cpu: number;
  readonly memory: number;
}

export function manifestsOf(text: string): readonly Manifest[] {
  return parseAllDocuments(text, { version: '1.1' })
    .map((document): unknown => document.toJS({ maxAliasCount: -1 }))
    .filter((value) => value !== null)
    .map((value) => object.parse(value));
}

function podsOf({ metadata, spec }: Manifest, all: readonly Manifest[]): number {
  const scaler = all.find(
    (one) =>
      one.kind === 'HorizontalPodAutoscaler' && one.spec?.scaleTargetRef?.name === metadata.name,
  );
  return scaler?.spec?.minReplicas ?? spec?.replicas ?? 1;
}

function requested({ spec }: Manifest, resource: string): number {
  const containers = spec?.template?.spec.containers ?? [];
  return containers
    .map(({ resources }) => quantityValue(resources?.requests?.[resource] ?? '0'))
    .reduce((sum, one) => sum + one, 0);
}

export function footprintOf(all: readonly Manifest[]): Footprint {
  const count = (kind: string): number => all.filter((one) => one.kind === kind).length;
  const workloads = all.filter(({ kind }) => WORKLOADS.has(kind));
  const sum = (value: (one: Manifest) => number): number =>
    workloads.reduce((total, one) => total + podsOf(one, all) * value(one), 0);
  return {
    objects: all.length,
    customResourceDefinitions: count('CustomResourceDefinition'),
    webhooks: all.reduce((total, { webhooks = [] }) => total + webhooks.length, 0),
    clusterRoles: count('ClusterRole'),
    pods: sum(() => 1),
    cpu: sum((one) => requested(one, 'cpu')),
    memory: sum((one) => requested(one, 'memory')),
  };
}

if (require.main === module) {
  const texts = process.argv.slice(2).map((file) => readFileSync(file, 'utf8'));
  if (texts.length === 0) throw new Error('usage: footprint.ts FILE…');
  console.log(footprintOf(texts.flatMap(manifestsOf)));
}
