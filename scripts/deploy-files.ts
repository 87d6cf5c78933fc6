import { App, Chart } from 'cdk8s';
import { Secret } from 'cdk8s-plus-28';
import { ModelService, namespaceChart } from '../lib/constructs';
import type { KubeObject } from '../lib/objects';
import { NAMESPACE_FILE, SERVICE_NAMESPACE } from '../lib/objects';
import { yamlOf } from '../lib/objects/yaml';

/** What deploy/kubernetes holds: file name → text. The Secret with the keys is made by hand. */
export function deployFiles(): ReadonlyMap<string, string> {
  const app = new App();
  const chart = new Chart(app, 'ai-model-service', { disableResourceNameHashes: true });
  const service = new ModelService(chart, 'service', {
    environment: {
      namespace: 'suoke-life',
      createNamespace: true,
      runtime: { namespace: SERVICE_NAMESPACE },
    },
    keys: Secret.fromSecretName(chart, 'keys', 'ai-model-service-keys'),
  });
  const namespace = namespaceChart(app, service.environment);
  const text = (one: Chart): string => yamlOf(one.toJson() as KubeObject[]);
  return new Map([
    ...(namespace === undefined ? [] : [[NAMESPACE_FILE, text(namespace)] as const]),
    ['ai-model-service.k8s.yaml', text(chart)],
  ]);
}
