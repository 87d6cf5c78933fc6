import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { App, Chart, Testing, Yaml } from 'cdk8s';
import { ApiResource, Namespaces, Pods, Secret } from 'cdk8s-plus-28';
import { parse, stringify } from 'yaml';
import type { ModelServiceProps } from '../../lib/constructs';
import { ModelService } from '../../lib/constructs';
import { dashboardFiles } from '../../lib/monitoring';
import { parseConfig } from '../../runtime/app/config';
import type { Manifest } from '../support/manifests';
import { at, findManifest, manifests, model, podTemplates } from '../support/manifests';
import { restrictedFaults } from '../support/podsecurity';
import { faultsOf128, newestFaults } from '../support/strict';

const golden = (name: string): string => join(__dirname, '..', 'golden', 'constructs', name);
const GOLDEN = golden('model-service.k8s.yaml');
const METRICS_GOLDEN = golden('model-service-metrics.k8s.yaml');
const GOLDEN_GRPC = golden('model-service-grpc.k8s.yaml');

const CA = '-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n';
const SECRET = Secret.fromSecretName(Testing.chart(), 'metrics', 'metrics-tls');

const KEYS = Secret.fromSecretName(Testing.chart(), 'keys', 'ai-model-service-keys');

function service(props: ModelServiceProps = {}): readonly Manifest[] {
  const chart = Testing.chart();
  // oxlint-disable-next-line no-new
  new ModelService(chart, 'service', { envFrom: [KEYS], ...props });
  return Testing.synth(chart) as Manifest[];
}

const full = (): readonly Manifest[] => {
  const chart = Testing.chart();
  const secret = (name: string) => Secret.fromSecretName(chart, name, name);
  // oxlint-disable-next-line no-new
  new ModelService(chart, 'service', {
    environment: { monitoring: { style: 'operator' }, kubernetesVersion: '1.31' },
    modelNamespaces: ['team-a', 'team-b'],
    envFrom: [secret('api-keys')],
    tls: secret('public-tls'),
    ingress: { host: 'models.example.com', className: 'nginx', tls: secret('ingress-tls') },
    allowFrom: [Namespaces.select(chart, 'ingress', { names: ['ingress-nginx'] })],
    config: { logging: { level: 'warn' }, server: { acceptSeconds: 3 } },
  });
  return Testing.synth(chart) as Manifest[];
};

test('renders its whole manifest', () => {
  const text = Yaml.stringify(...service());
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(GOLDEN, text);
  expect(readFileSync(GOLDEN, 'utf8')).toBe(text);
});

test('renders its whole manifest with a port for gRPC', () => {
  const text = Yaml.stringify(...service({ grpcPort: 8081 }));
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(GOLDEN_GRPC, text);
  expect(readFileSync(GOLDEN_GRPC, 'utf8')).toBe(text);
});

test('renders its whole manifest with external metrics', () => {
  const text = Yaml.stringify(...service({ externalMetrics: { tls: SECRET, ca: CA } }));
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(METRICS_GOLDEN, text);
  expect(readFileSync(METRICS_GOLDEN, 'utf8')).toBe(text);
});

describe('external metrics', () => {
  const all = (more: object = { ca: CA }): readonly Manifest[] =>
    service({ externalMetrics: { tls: SECRET, ...more } });

  test('are called at a port that the pods have and the policy admits', () => {
    const api = findManifest(all(), 'APIService');
    expect(api.metadata.name).toBe('v1beta1.external.metrics.k8s.io');
    expect(at(api, 'spec')).toMatchObject({
      group: 'external.metrics.k8s.io',
      service: { name: 'ai-model-service-metrics', namespace: 'ai-models', port: 443 },
      caBundle: Buffer.from(CA).toString('base64'),
    });
    const port = at(findManifest(all(), 'Service', 'ai-model-service-metrics'), 'spec.ports.0');
    expect(port).toMatchObject({ port: 443, targetPort: 9443 });
    const [pod] = podTemplates(all());
    expect(at(pod?.template, 'spec.containers.0.ports.2.containerPort')).toBe(9443);
    const policy = findManifest(all(), 'NetworkPolicy');
    expect(at(policy, 'spec.ingress.2')).toEqual({ ports: [{ port: 9443, protocol: 'TCP' }] });
  });

  test('are in a configuration that the runtime accepts', () => {
    const text = at(findManifest(all(), 'ConfigMap', 'ai-model-service'), 'data') as {
      'config.yaml': string;
    };
    const { kubernetes } = parse(text['config.yaml']) as { kubernetes: Record<string, unknown> };
    const section = stringify({ kubernetes: { external_metrics: kubernetes['external_metrics'] } });
    expect(parseConfig(section).kubernetes.externalMetrics).toEqual({
      port: 9443,
      cert: '/etc/ai-model-service-metrics-tls/tls.crt',
      key: '/etc/ai-model-service-metrics-tls/tls.key',
    });
  });

  test('may get their authority from cert-manager', () => {
    const api = findManifest(all({ injectCaFrom: 'ai-models/metrics' }), 'APIService');
    expect(api.metadata.annotations).toEqual({
      'cert-manager.io/inject-ca-from': 'ai-models/metrics',
    });
    expect(at(api, 'spec.caBundle')).toBeUndefined();
  });

  test('add these rights: autoscalers read two metrics, the service two objects by name', () => {
    const rules = all()
      .filter(({ kind }) => kind === 'ClusterRole')
      .flatMap((role) => role['rules'] as readonly PolicyRule[]);
    expect(rules.map(({ resources, verbs: may }) => [resources.join(), may.join()])).toEqual([
      ['ai_model_concurrency,ai_model_queue_depth', 'get,list'],
      ['apiservices', 'get'],
    ]);
    const bound = findManifest(
      all().filter(({ metadata }) => metadata.namespace === 'kube-system'),
      'RoleBinding',
    );
    expect(at(bound, 'roleRef.name')).toBe('extension-apiserver-authentication-reader');
  });
});

test('every object passes the schemas of 1.28 and the newest', () => {
  const route = { hostnames: ['m.example.com'], gateway: 'public' };
  const metrics = service({ externalMetrics: { tls: SECRET, ca: CA } });
  const open = { route, allowFrom: 'everyone' } as const;
  const all = [...service({ ...open, mode: 'gitops', grpcPort: 8081 }), ...full(), ...metrics];
  expect(all.flatMap(newestFaults)).toEqual([]);
  expect(faultsOf128(all)).toEqual([]);
});

test('fits a small cluster with lower requests', () => {
  const [pod] = podTemplates(service({ cpu: '100m', memory: '256Mi' }));
  const resources = { requests: { cpu: '100m', memory: '256Mi' }, limits: { memory: '256Mi' } };
  expect(at(pod?.template, 'spec.containers')).toMatchObject([{ resources }]);
});

test('its pods pass restricted pod security', () => {
  const [pod] = podTemplates(full());
  expect(restrictedFaults(at(pod?.template, 'spec') as Record<string, unknown>)).toEqual([]);
});

test('the namespace is in its own file, once, before all others', () => {
  const app = Testing.app();
  for (const id of ['a', 'b']) {
    const environment = { createNamespace: true };
    // oxlint-disable-next-line no-new
    new ModelService(new Chart(app, id), 'service', { environment, envFrom: [KEYS] });
  }
  const charts = app.node.children.filter((one) => Chart.isChart(one)).map(({ node }) => node.id);
  expect(charts).toEqual(['a', '0000-namespace', 'b']);
  expect(Testing.synth(app.node.findChild('0000-namespace') as Chart)).toMatchObject([
    { metadata: { labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } } },
  ]);
});

test('nothing is cluster-wide, and every namespace with models has its own Role', () => {
  const all = full();
  expect(all.filter(({ kind }) => kind.startsWith('Cluster'))).toEqual([]);
  const roles = all.filter(({ kind }) => kind === 'RoleBinding');
  expect(roles.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)).toEqual([
    'ai-models/ai-model-service',
    'team-a/ai-model-service-state',
    'team-a/ai-model-service-models',
    'team-b/ai-model-service-models',
  ]);
  for (const binding of roles) {
    expect(at(binding, 'subjects.0')).toEqual({
      apiGroup: '',
      kind: 'ServiceAccount',
      name: 'ai-model-service',
      namespace: 'ai-models',
    });
  }
});

interface PolicyRule {
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

function verbs(all: readonly Manifest[], resource: string): readonly string[] {
  const rules = all
    .filter(({ kind }) => kind === 'Role')
    .flatMap((role) => role['rules'] as readonly PolicyRule[]);
  return rules
    .filter(
      ({ resources, resourceNames }) => resourceNames === undefined && resources.includes(resource),
    )
    .flatMap((rule) => rule.verbs);
}

test('in gitops mode the service can write only scale, events, its lease and its state', () => {
  const written = (mode: 'rest' | 'gitops'): readonly string[] =>
    ['configmaps', 'deployments', 'serviceaccounts', 'horizontalpodautoscalers'].filter(
      (resource) => verbs(service({ mode }), resource).includes('patch'),
    );
  expect(written('gitops')).toEqual([]);
  expect(written('rest')).toHaveLength(4);
  expect(verbs(service({ mode: 'gitops' }), 'deployments/scale')).toContain('patch');
  expect(verbs(service({ mode: 'gitops' }), 'controllerrevisions')).toEqual([]);
});

test('its roles are constructs of cdk8s-plus, to which rights can be added', () => {
  const chart = Testing.chart();
  const made = new ModelService(chart, 'service', { envFrom: [KEYS], modelNamespaces: ['a', 'b'] });
  made.modelRoles[1]?.allowRead(ApiResource.SECRETS);
  const holders = (Testing.synth(chart) as Manifest[]).filter((one) =>
    verbs([one], 'secrets').includes('get'),
  );
  expect(holders.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)).toEqual([
    'b/ai-model-service-models',
  ]);
  expect(made.role.name).toBe('ai-model-service');
});

test('it may not read Secrets', () => {
  expect(verbs(service(), 'secrets')).toEqual([]);
  expect(verbs(service(), '*')).toEqual([]);
});

test('the policies of models admit exactly its pods', () => {
  const environment = { runtime: { namespace: 'routers', labels: { router: 'yes' } } };
  const pod = podTemplates(service({ environment }))[0]?.template;
  const policy = findManifest(manifests(model(), environment), 'NetworkPolicy');
  const [peer] = at(policy, 'spec.ingress.0.from') as readonly object[];
  expect(at(pod, 'metadata.labels')).toMatchObject(
    at(peer, 'podSelector.matchLabels') as Record<string, string>,
  );
  expect(at(peer, 'namespaceSelector.matchLabels')).toEqual({
    'kubernetes.io/metadata.name': 'routers',
  });
});

test('replicas belong to the autoscaler, and a pod has time for its longest request', () => {
  const all = service({ longestTimeoutSeconds: 60, minReplicas: 3 });
  const deployment = findManifest(all, 'Deployment');
  expect(at(deployment, 'spec.replicas')).toBeUndefined();
  expect(at(deployment, 'spec.template.spec.terminationGracePeriodSeconds')).toBe(70);
  expect(at(findManifest(all, 'HorizontalPodAutoscaler'), 'spec.minReplicas')).toBe(3);
});

test('a changed configuration restarts the pods', () => {
  const template = (level: 'info' | 'warn'): unknown =>
    podTemplates(service({ config: { logging: { level } } }))[0]?.template;
  expect(template('info')).not.toEqual(template('warn'));
  expect(template('info')).toEqual(template('info'));
});

test('sections of the user take precedence over its own', () => {
  const config = findManifest(full(), 'ConfigMap', 'ai-model-service');
  expect(at(config, 'data')).toMatchObject({
    'config.yaml': expect.stringContaining('accept_seconds: 3\n  host: 0.0.0.0') as unknown,
  });
});

test.each([
  [
    {
      ingress: { host: 'a.example.com' },
      route: { hostnames: ['b.example.com'], gateway: 'g' },
      allowFrom: 'everyone' as const,
    },
    /^route: .*choose one of the two/,
  ],
  [
    { grpcPort: 8080 },
    /^grpcPort: got 8080, must be 1024 to 65535, and not 8080 or 9090; use 8081/,
  ],
  [{ ingress: { host: 'a.example.com' } }, /^allowFrom: is missing, must be the pods that ingress/],
  [
    { route: { hostnames: ['b.example.com'], gateway: 'g' }, allowFrom: [] },
    /^allowFrom: is missing, must be the pods that route goes through, or 'everyone'/,
  ],
  [{ grpcPort: 443 }, /^grpcPort: got 443/],
  [{ minReplicas: 0 }, /^minReplicas: got 0, must be ≥ 1/],
  [{ cpu: '0' }, /^cpu: got "0", must be a quantity of Kubernetes above zero; use '500m' or '1'/],
  [{ memory: '512' }, /^memory: got "512"/],
])('an unsupported option is refused: %j', (props, message) => {
  const chart = new Chart(new App({ outdir: '/nowhere' }), 'x');
  expect(() => new ModelService(chart, 'service', { envFrom: [KEYS], ...props })).toThrow(message);
});

test.each([
  [{}, /^externalMetrics\.ca: is missing, must be the authority’s/],
  [{ ca: 'x' }, /^externalMetrics\.ca: got "x", must be/],
  [{ ca: CA, injectCaFrom: 'a/b' }, /^externalMetrics\.injectCaFrom: .*left out beside ca/],
  [{ injectCaFrom: 'b' }, /must be namespace\/name of a cert-manager Certificate/],
])('metrics that the API server could not trust are refused: %j', (more, message) => {
  expect(() => service({ externalMetrics: { tls: SECRET, ...more } })).toThrow(message);
});

test('with an operator the service has alerts of its own, in its own namespace', () => {
  const rule = findManifest(full(), 'PrometheusRule');
  const rules = at(rule, 'spec.groups.0.rules') as readonly { alert: string; expr: string }[];
  // Two routers are the fewest unless minReplicas says otherwise.
  expect(rules.map(({ alert }) => alert)).toContain('AiModelServiceRouterMissing');
  for (const { expr } of rules) expect(expr).toContain('{namespace="ai-models"');
});

test('with an operator the dashboards are a ConfigMap for the sidecar of Grafana', () => {
  const named = (all: readonly Manifest[]): Manifest | undefined =>
    all.find(({ metadata }) => metadata.name === 'ai-model-service-dashboards');
  const found = named(full());
  expect(found?.metadata.labels).toMatchObject({ grafana_dashboard: '1', app: 'ai-model-service' });
  expect(at(found ?? {}, 'data')).toEqual(Object.fromEntries(dashboardFiles()));
  const labels = { dashboards: 'yes' };
  const monitoring = { style: 'operator', dashboardLabels: labels } as const;
  expect(named(service({ environment: { monitoring } }))?.metadata.labels).toMatchObject(labels);
  expect(named(service())).toBeUndefined();
});

describe('its network policies', () => {
  const NAME = 'kubernetes.io/metadata.name';
  const policies = (all: readonly Manifest[]): readonly Manifest[] =>
    all.filter(({ kind }) => kind === 'NetworkPolicy');
  const inNamespaces = (...values: string[]) => ({
    namespaceSelector: { matchExpressions: [{ key: NAME, operator: 'In', values }] },
  });

  test('admit callers from the namespaces of the routers and of the models', () => {
    const environment = { runtime: { namespace: 'routers' } };
    const all = service({ environment, modelNamespaces: ['team-a', 'team-b'], grpcPort: 8081 });
    expect(at(findManifest(all, 'NetworkPolicy'), 'spec.ingress.0')).toEqual({
      from: [inNamespaces('routers', 'team-a', 'team-b')],
      ports: [
        { port: 8080, protocol: 'TCP' },
        { port: 8081, protocol: 'TCP' },
      ],
    });
  });

  test('admit everyone on request', () => {
    const policy = findManifest(service({ allowFrom: 'everyone' }), 'NetworkPolicy');
    expect(at(policy, 'spec.ingress.0')).toEqual({ ports: [{ port: 8080, protocol: 'TCP' }] });
  });

  test('allow egress to DNS, the API server, model servers and the other routers, nothing else', () => {
    const tcp = (port: number) => ({ port, protocol: 'TCP' });
    expect(at(findManifest(service(), 'NetworkPolicy'), 'spec.egress')).toEqual([
      { ports: [tcp(53), { port: 53, protocol: 'UDP' }] },
      { ports: [tcp(443), tcp(6443)] },
      {
        to: [
          {
            ...inNamespaces('ai-models'),
            podSelector: { matchLabels: { 'app.kubernetes.io/component': 'model-server' } },
          },
        ],
      },
      { to: [{ podSelector: { matchLabels: { app: 'ai-model-service' } } }], ports: [tcp(9090)] },
    ]);
  });

  test('match the label of model pods', () => {
    const labels = podTemplates(manifests(model())).map(({ template }) =>
      at(template, 'metadata.labels'),
    );
    const label = { 'app.kubernetes.io/component': 'model-server' };
    expect(labels).toEqual(labels.map(() => expect.objectContaining(label) as unknown));
  });

  test('have one policy for each further peer, with its ports', () => {
    const chart = Testing.chart();
    const [web, scraper] = ['web', 'scraper'].map((app) =>
      Pods.select(chart, app, { labels: { app } }),
    ) as [Pods, Pods];
    const made = new ModelService(chart, 'service', {
      envFrom: [KEYS],
      allowFrom: [web],
      metricsFrom: [scraper],
    });
    made.allowFrom(web);
    made.allowTo(scraper, [4318]);
    const found = policies(Testing.synth(chart) as Manifest[]).slice(1);
    expect(found.map(({ spec }) => spec)).toEqual([
      expect.objectContaining({
        ingress: [
          {
            from: [{ podSelector: { matchLabels: { app: 'web' } } }],
            ports: [{ port: 8080, protocol: 'TCP' }],
          },
        ],
      }),
      expect.objectContaining({
        ingress: [
          {
            from: [{ podSelector: { matchLabels: { app: 'scraper' } } }],
            ports: [{ port: 9090, protocol: 'TCP' }],
          },
        ],
      }),
      expect.objectContaining({
        egress: [
          {
            to: [{ podSelector: { matchLabels: { app: 'scraper' } } }],
            ports: [{ port: 4318, protocol: 'TCP' }],
          },
        ],
      }),
    ]);
    for (const one of found) {
      expect(one.metadata.namespace).toBe('ai-models');
      expect(at(one, 'spec.podSelector')).toEqual({ matchLabels: { app: 'ai-model-service' } });
    }
  });

  test('are absent in an environment without network policies', () => {
    const chart = Testing.chart();
    const made = new ModelService(chart, 'service', {
      envFrom: [KEYS],
      environment: { networkPolicy: false },
      ingress: { host: 'a.example.com' },
    });
    made.allowFrom(Namespaces.all(chart, 'all'));
    expect(policies(Testing.synth(chart) as Manifest[])).toEqual([]);
  });
});

test('routers of the same models elect one leader, in any namespaces', () => {
  const leases = [undefined, 'routers'].map((namespace) => {
    const all = service({ environment: { runtime: { namespace } } });
    const { metadata } = findManifest(all, 'Lease');
    const state = findManifest(all, 'ConfigMap', 'ai-model-service-state');
    return [metadata.namespace, metadata.name, state.metadata.namespace];
  });
  expect(leases).toEqual(
    Array.from({ length: 2 }, () => ['ai-models', 'ai-model-service', 'ai-models']),
  );
});
