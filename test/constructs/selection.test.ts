import { Chart, Testing } from 'cdk8s';
import {
  Deployment,
  Namespaces,
  NetworkPolicy,
  NetworkPolicyIpBlock,
  NetworkPolicyPort,
  PodConnectionsIsolation,
  Secret,
  Service,
} from 'cdk8s-plus-28';
import { ModelDeployment, ModelService } from '../../lib/constructs';
import type { EnvironmentInput, ModelInput } from '../../lib/spec';
import type { Manifest } from '../support/manifests';
import { at, findManifest, podTemplates } from '../support/manifests';
import { faultsOf128, newestFaults } from '../support/strict';

// Models and the service among constructs of cdk8s-plus: its policies and Services select their pods.

const MODEL: ModelInput = {
  id: 'iris',
  version: 'v1',
  framework: 'tensorflow',
  source: 's3://models/iris/v1',
  cache: { size: '1Gi' },
  candidates: [{ version: 'v2', source: 's3://models/iris/v2', shadow: 10 }],
};

const ALL = { 'ai-model.suoke.life/model': 'iris' };

interface App {
  readonly chart: Chart;
  readonly model: ModelDeployment;
  readonly web: Deployment;
}

function app(environment: EnvironmentInput = {}): App {
  const chart = new Chart(Testing.app(), 'x', { namespace: 'prod' });
  const model = new ModelDeployment(chart, 'iris', { model: MODEL, environment });
  const web = new Deployment(chart, 'web', { containers: [{ image: 'web:1', portNumber: 80 }] });
  return { chart, model, web };
}

const manifestsOf = (chart: Chart): readonly Manifest[] => Testing.synth(chart) as Manifest[];

/** Policies beside the model's own. */
const policiesOf = (chart: Chart): readonly Manifest[] =>
  manifestsOf(chart).filter(
    ({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.name !== 'iris',
  );

/** The pods of cdk8s-plus’ Deployment as a peer. */
const webPeer = (web: Deployment): object => ({
  podSelector: {
    matchLabels: { 'cdk8s.io/metadata.addr': web.podMetadata.getLabel('cdk8s.io/metadata.addr') },
  },
  namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'prod' } },
});

const modelPeer = {
  podSelector: { matchLabels: ALL },
  namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'prod' } },
};

test('a model selects the pods of all its arms and those that load its artifacts', () => {
  const templates = podTemplates(manifestsOf(app().chart)).map(({ owner, template }) => ({
    kind: owner.kind,
    name: owner.metadata.name,
    labels: at(template, 'metadata.labels') as Readonly<Record<string, string>>,
  }));
  const selected = templates.filter(({ labels }) => labels['ai-model.suoke.life/model'] === 'iris');
  expect(selected.filter(({ kind }) => kind === 'Deployment').map(({ name }) => name)).toEqual([
    'iris',
    'iris--v2',
  ]);
  expect(selected.filter(({ kind }) => kind === 'Job')).toHaveLength(2);
  expect(selected).toHaveLength(templates.length - 1);
});

test('a custom policy takes a model as its selector, in the namespace of the model', () => {
  const { chart, model, web } = app({ namespace: 'models' });
  const policy = new NetworkPolicy(chart, 'policy', { selector: model });
  policy.addEgressRule(web, [NetworkPolicyPort.tcp(80)]);
  const [made] = policiesOf(chart);
  expect(made?.metadata.namespace).toBe('models');
  expect(at(made, 'spec')).toEqual({
    podSelector: { matchLabels: ALL },
    policyTypes: ['Egress'],
    egress: [{ ports: [{ port: 80, protocol: 'TCP' }], to: [webPeer(web)] }],
  });
});

test('connections of a Deployment of cdk8s-plus take a model as their peer', () => {
  const { chart, model, web } = app();
  web.connections.allowTo(model, { isolation: PodConnectionsIsolation.POD });
  const [made] = policiesOf(chart);
  expect(at(made, 'spec.policyTypes')).toEqual(['Egress']);
  expect(at(made, 'spec.egress.0.to')).toEqual([modelPeer]);
});

test('without isolation both sides are opened, each in its own namespace', () => {
  const { chart, model, web } = app({ namespace: 'models' });
  web.connections.allowTo(model);
  expect(
    policiesOf(chart).map(({ metadata, ...policy }) => [
      metadata.namespace,
      at(policy, 'spec.policyTypes.0'),
      at(policy, 'spec.podSelector.matchLabels'),
    ]),
  ).toEqual([
    ['prod', 'Egress', at(webPeer(web), 'podSelector.matchLabels')],
    ['models', 'Ingress', ALL],
  ]);
});

describe('allowFrom', () => {
  const ports = [8500, 8501].map((port) => ({ port, protocol: 'TCP' }));

  test('admits pods of cdk8s-plus on the serving ports', () => {
    const { chart, model, web } = app();
    model.allowFrom(web);
    const [made] = policiesOf(chart);
    expect(made?.metadata).toEqual({
      name: expect.stringMatching(/^iris--from-c8[0-9a-f]{8}$/) as unknown,
      namespace: 'prod',
    });
    expect(at(made, 'spec')).toEqual({
      podSelector: { matchLabels: ALL },
      policyTypes: ['Ingress'],
      ingress: [{ from: [webPeer(web)], ports }],
    });
    expect(policiesOf(chart)).toHaveLength(1);
  });

  test('uses the ports of the model’s own policy', () => {
    const { chart, model } = app();
    model.allowFrom(Namespaces.all(chart, 'all'));
    const own = findManifest(manifestsOf(chart), 'NetworkPolicy', 'iris');
    expect(at(own, 'spec.ingress.0.ports')).toEqual(ports);
    expect(at(policiesOf(chart)[0], 'spec.ingress.0.ports')).toEqual(ports);
  });

  test('takes namespaces, addresses and other models', () => {
    const { chart, model } = app();
    const other = new ModelDeployment(chart, 'other', { model: { ...MODEL, id: 'other' } });
    model.allowFrom(Namespaces.select(chart, 'teams', { names: ['team-a'] }));
    model.allowFrom(NetworkPolicyIpBlock.ipv4(chart, 'office', '10.0.0.0/8'));
    model.allowFrom(other);
    const peers = policiesOf(chart)
      .filter(({ metadata }) => metadata.name !== 'other')
      .map((one) => at(one, 'spec.ingress.0.from.0'));
    expect(peers).toEqual([
      {
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'team-a' } },
        podSelector: {},
      },
      { ipBlock: { cidr: '10.0.0.0/8' } },
      { ...modelPeer, podSelector: { matchLabels: { 'ai-model.suoke.life/model': 'other' } } },
    ]);
  });

  test('admits the same peer once', () => {
    const { chart, model, web } = app();
    model.allowFrom(web);
    model.allowFrom(web);
    expect(policiesOf(chart)).toHaveLength(1);
  });

  test('makes no policy where none is rendered, since it would shut out the router', () => {
    const { chart, model, web } = app({ networkPolicy: false });
    model.allowFrom(web);
    expect(manifestsOf(chart).filter(({ kind }) => kind === 'NetworkPolicy')).toEqual([]);
  });

  test('leaves the objects of the model unchanged', () => {
    const [before, after] = [app(), app()];
    after.model.allowFrom(after.web);
    const own = policiesOf(after.chart);
    expect(manifestsOf(after.chart).filter((one) => !own.some(same(one)))).toEqual(
      manifestsOf(before.chart),
    );
  });
});

const same =
  (a: Manifest) =>
  (b: Manifest): boolean =>
    a.kind === b.kind && a.metadata.name === b.metadata.name;

test('a Service of cdk8s-plus selects the pods of one arm: no shadow, no loader', () => {
  const { chart, model } = app();
  const [stable] = model.arms;
  const service = new Service(chart, 'direct', {
    selector: stable.pods,
    ports: [{ port: 80, targetPort: 8501 }],
  });
  const all = manifestsOf(chart);
  const selector = at(findManifest(all, 'Service', service.name), 'spec.selector');
  const hits = podTemplates(all).filter(({ template }) =>
    Object.entries(selector as object).every(
      ([key, value]) =>
        (at(template, 'metadata.labels') as Readonly<Record<string, unknown>>)[key] === value,
    ),
  );
  expect(hits.map(({ owner }) => `${owner.kind}/${owner.metadata.name}`)).toEqual([
    'Deployment/iris',
  ]);
});

test('the pods of the service are a peer, in the namespace of the service', () => {
  const { chart, web } = app();
  const envFrom = [Secret.fromSecretName(chart, 'keys', 'keys')];
  const service = new ModelService(chart, 'service', {
    environment: { runtime: { namespace: 'routers' } },
    envFrom,
  });
  const router = { isolation: PodConnectionsIsolation.POD, ports: [NetworkPolicyPort.tcp(8080)] };
  web.connections.allowTo(service.pods, router);
  const made = policiesOf(chart).find(({ metadata }) => metadata.name !== 'ai-model-service');
  const all = manifestsOf(chart);
  const pod = podTemplates(all).find(({ owner }) => owner.metadata.name === 'ai-model-service');
  expect(at(made, 'spec.egress.0.to')).toEqual([
    {
      podSelector: { matchLabels: { app: 'ai-model-service' } },
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'routers' } },
    },
  ]);
  expect(at(pod?.template, 'metadata.labels')).toMatchObject({ app: 'ai-model-service' });
});

test('the policies pass the schemas of 1.28 and the newest', () => {
  const { chart, model, web } = app();
  model.allowFrom(web);
  web.connections.allowTo(model);
  const made = policiesOf(chart);
  expect(made).toHaveLength(3);
  expect(made.flatMap(newestFaults)).toEqual([]);
  expect(faultsOf128(made)).toEqual([]);
});
