import { Testing } from 'cdk8s';
import { Secret } from 'cdk8s-plus-28';
import { parse } from 'yaml';
import type { ModelServiceProps } from '../../lib/constructs';
import { ModelService } from '../../lib/constructs';
import { parseConfig } from '../../runtime/app/config';
import type { Manifest } from '../support/manifests';
import { at, findManifest, podTemplates } from '../support/manifests';

// `config` of ModelService: what the service would refuse at its start is refused at synth.

const KEYS = Secret.fromSecretName(Testing.chart(), 'keys', 'ai-model-service-keys');

function service(props: ModelServiceProps): readonly Manifest[] {
  const chart = Testing.chart();
  // oxlint-disable-next-line no-new
  new ModelService(chart, 'service', { envFrom: [KEYS], ...props });
  return Testing.synth(chart) as Manifest[];
}

const rendering = (props: ModelServiceProps) => (): unknown => service(props);

/** The configuration that the pods get, as the service reads it. */
function readConfig(props: ModelServiceProps): ReturnType<typeof parseConfig> {
  const map = findManifest(service(props), 'ConfigMap', 'ai-model-service');
  return parseConfig((at(map, 'data') as { readonly 'config.yaml': string })['config.yaml']);
}

/** A configuration that the compiler does not see: from a YAML file, or with a mistake. */
const untyped = (config: unknown) => ({ config: config as ModelServiceProps['config'] });

test.each<[unknown, string]>([
  [{ routng: { retry_percent: 10 } }, 'config.routng: unknown field'],
  [{ server: { prot: 1 } }, 'config.server.prot: unknown field; did you mean port?'],
  [{ routing: { retry_percent: 900 } }, 'config.routing.retry_percent: got 900, must be ≤ 100'],
  [{ routing: { retryPercent: 900 } }, 'config.routing.retryPercent: got 900, must be ≤ 100'],
  [{ logging: 'debug' }, 'config.logging: got "debug"'],
  [{ kubernetes: { mode: 'direct' } }, 'config.kubernetes.mode: got "direct"'],
])('a fault in it is named as it was written: %j', (config, message) => {
  expect(rendering(untyped(config))).toThrow(message);
});

test('all faults are reported at once', () => {
  const mistakes = untyped({ routng: {}, server: { prot: 1 } });
  expect(rendering({ ...mistakes, minReplicas: 0 })).toThrow(
    /config\.server\.prot[^]*config\.routng[^]*minReplicas/,
  );
});

test.each<[unknown, string]>([
  [{ cluster: 'local' }, 'config.cluster: got "local", must be left out'],
  [{ server: { host: '127.0.0.1' } }, 'config.server.host: got "127.0.0.1", must be left out'],
  [{ server: { port: 9000 } }, 'config.server.port: got 9000, must be left out'],
  [{ server: { ops_port: 1 } }, 'config.server.ops_port: got 1, must be left out'],
  [{ server: { opsPort: 1 } }, 'config.server.opsPort: got 1, must be left out'],
  [{ server: { grpcPort: 1 } }, 'since ModelService sets it; use grpcPort of ModelService'],
  [{ server: { tls: { cert: '/a', key: '/b' } } }, 'use tls of ModelService'],
  [{ kubernetes: { namespace: 'x' } }, 'use environment.namespace of ModelService'],
  [{ kubernetes: { namespaces: ['x'] } }, 'use modelNamespaces of ModelService'],
  [{ kubernetes: { runtime_namespace: 'x' } }, 'use environment.runtime.namespace of ModelService'],
  [{ kubernetes: { mode: 'gitops' } }, 'use mode of ModelService'],
  [{ auth: { keys_file: '/keys.yaml' } }, 'use keys of ModelService'],
  [{ audit: { file: '-', chain_key_file: '/chain.key' } }, 'use auditKey of ModelService'],
  [{ kubernetes: { environment: {} } }, 'use environment of ModelService'],
  [
    { kubernetes: { external_metrics: { port: 1, cert: '/a', key: '/b' } } },
    'config.kubernetes.external_metrics: got {"port":1,"cert":"/a","key":"/b"}, must be left out, ' +
      'since ModelService sets it; use externalMetrics of ModelService',
  ],
])("a field that would differ from the service's objects is refused: %j", (config, message) => {
  expect(rendering(untyped(config))).toThrow(message);
});

test('a service without keys is refused, with the correction', () => {
  for (const config of [undefined, {}, { auth: { mode: 'api_key' } } as const]) {
    expect(rendering({ envFrom: [], ...(config && { config }) })).toThrow(
      /^keys: is missing, must be a Secret whose keys\.yaml .*config\.auth\.mode: none.*kubectl create secret generic/,
    );
  }
});

test('keys may be in the configuration; open access must be stated', () => {
  const sha256 = 'a'.repeat(64);
  const keys = [{ name: 'app', sha256, scopes: ['infer' as const] }];
  expect(readConfig({ envFrom: [], config: { auth: { keys } } }).auth.keys).toMatchObject([
    { name: 'app', sha256 },
  ]);
  expect(readConfig({ envFrom: [], config: { auth: { mode: 'none' } } }).auth.mode).toBe('none');
  const jwt = { issuer: 'https://id.example', audience: ['models'] };
  const tokens = readConfig({ envFrom: [], config: { auth: { mode: 'jwt', jwt } } });
  expect(tokens.auth.jwt).toMatchObject(jwt);
});

test("sections take precedence over the service's own, in TypeScript as in YAML", () => {
  const yaml: unknown = parse('server: { accept_seconds: 3 }\nrouting: { retry_percent: 5 }');
  const typed = { server: { acceptSeconds: 3 }, routing: { retryPercent: 5 } };
  for (const given of [untyped(yaml), { config: typed }]) {
    const { server, routing, cluster } = readConfig(given);
    expect([server.acceptSeconds, server.host, routing.retryPercent, cluster]).toEqual([
      3,
      '0.0.0.0',
      5,
      'kubernetes',
    ]);
  }
});

test('its registry and resources are in the rendered and the given environment', () => {
  const models = { registry: 'registry.suoke.life', defaultResources: { cpu: '2', gpu: '1' } };
  const image = 'spec.containers.0.image';
  const [pod] = podTemplates(service({ config: { models } }));
  expect(at(pod?.template, image)).toMatch(/^registry\.suoke\.life\/suoke\//);
  expect(readConfig({ config: { models } }).kubernetes.environment).toMatchObject({
    registry: 'registry.suoke.life',
    defaultResources: { cpu: '2', memory: '512Mi', gpu: 1 },
  });
  const said = service({ config: { models }, environment: { registry: 'ghcr.io/other' } });
  expect(at(podTemplates(said)[0]?.template, image)).toMatch(/^ghcr\.io/);
});

test('a Secret with the key of the chain gives each replica an audit record on standard output', () => {
  const auditKey = Secret.fromSecretName(Testing.chart(), 'audit', 'audit-key');
  expect(readConfig({ auditKey }).audit).toMatchObject({
    file: '-',
    chainKeyFile: '/etc/ai-model-service-audit/chain.key',
  });
  const config = { audit: { file: '/data/audit.jsonl', rotateHours: 24 } };
  expect(readConfig({ auditKey, config }).audit).toMatchObject({
    file: '/data/audit.jsonl',
    rotateHours: 24,
    chainKeyFile: '/etc/ai-model-service-audit/chain.key',
  });
});
