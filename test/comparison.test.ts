import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { footprintOf, manifestsOf } from '../scripts/footprint';
import { pageText } from './support/snippets';
import { ROOT } from './support/sources';

// docs/comparison.md counts what an install adds to a cluster; our column must be what we install.
const OURS = 'ai-model-service';
const GOLDEN = 'test/golden/constructs/model-service.k8s.yaml';

/** Cells of the first table: row name → our cell. */
function ourColumn(): ReadonlyMap<string, string> {
  const rows = pageText('docs/comparison.md')
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  const column = rows[0]?.indexOf(OURS) ?? -1;
  expect(column).toBeGreaterThan(0);
  return new Map(rows.map((cells) => [cells[0] ?? '', cells[column] ?? '']));
}

test('the comparison lists what the manifest of this project adds', () => {
  const counted = footprintOf(manifestsOf(readFileSync(join(ROOT, GOLDEN), 'utf8')));
  const said = ourColumn();
  expect({
    objects: said.get('Objects applied'),
    customResourceDefinitions: said.get('Custom resource definitions'),
    webhooks: said.get('Admission webhooks'),
    clusterRoles: said.get('Cluster roles'),
    pods: said.get('Pods at rest'),
    cpu: said.get('CPU that they request'),
    memory: said.get('Memory that they request'),
  }).toEqual({
    objects: String(counted.objects),
    customResourceDefinitions: String(counted.customResourceDefinitions),
    webhooks: String(counted.webhooks),
    clusterRoles: String(counted.clusterRoles),
    pods: String(counted.pods),
    cpu: String(counted.cpu),
    memory: `${counted.memory / 2 ** 20} MiB`,
  });
});

test('a footprint counts definitions, webhooks, cluster roles, and pods with their requests', () => {
  const text = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: a }
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: { name: b }
webhooks: [{ name: x }, { name: y }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: c }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: d }
spec:
  replicas: 3
  template:
    spec:
      containers:
        - resources: { requests: { cpu: 250m, memory: 1Gi } }
        - { name: without }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: e }
spec: { template: { spec: { containers: [{ resources: { requests: { cpu: 2 } } }] } } }
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { name: e }
spec: { minReplicas: 4, scaleTargetRef: { name: e } }
`;
  expect(footprintOf(manifestsOf(text))).toEqual({
    objects: 6,
    customResourceDefinitions: 1,
    webhooks: 2,
    clusterRoles: 1,
    pods: 7,
    cpu: 8.75,
    memory: 3 * 2 ** 30,
  });
});
