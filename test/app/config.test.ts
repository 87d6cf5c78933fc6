import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Environment } from '../../lib/spec';
import { ConfigError, overruledDefaults, parseConfig } from '../../runtime/app/config';
import { isLoopback } from '../../runtime/shared/origins';

const EXAMPLE = readFileSync(join(__dirname, '../../config/config.example.yaml'), 'utf8');

describe('the configuration', () => {
  test('may be empty', () => {
    expect(parseConfig('')).toMatchObject({
      server: { host: '127.0.0.1', port: 8080 },
      cluster: 'local',
      models: { directory: 'models', watch: false },
    });
  });

  test('has exactly the defaults in its example', () => {
    expect(parseConfig(EXAMPLE)).toEqual(parseConfig(''));
  });

  test('has every key in its example', () => {
    const optional = ['ops_port:', 'grpc_port:', 'tls:', 'mode:', 'file:', 'models:'];
    const keys = (value: object): readonly string[] =>
      Object.entries(value).flatMap(([key, inner]: [string, unknown]) => [
        `${key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}:`,
        ...(typeof inner === 'object' && inner !== null ? keys(inner) : []),
      ]);
    const all = [...optional, ...keys(parseConfig(''))];
    expect(all.length).toBeGreaterThan(35);
    expect(all.filter((key) => !EXAMPLE.includes(key))).toEqual([]);
  });

  test('is overridden by the environment, with the types of the file', () => {
    const config = parseConfig('server:\n  port: 1\n', {
      AI_MODEL_SERVICE__SERVER__PORT: '9000',
      AI_MODEL_SERVICE__SERVER__TRUSTED_PROXIES: '["10.0.0.1"]',
      AI_MODEL_SERVICE__LOGGING__LEVEL: 'debug',
    });
    expect(config.server).toMatchObject({ port: 9000, trustedProxies: ['10.0.0.1'] });
    expect(config.logging.level).toBe('debug');
  });

  test('names file, line and key of every fault', () => {
    const text =
      'server:\n  host: ::1\n  prot: 80\nlocal:\n  endpoints:\n    iris: { stable: [nowhere] }\n';
    const complaint = (): unknown => parseConfig(text, {}, 'config.yaml');
    expect(complaint).toThrow(ConfigError);
    expect(complaint).toThrow('config.yaml:3: server.prot: unknown field');
    expect(complaint).toThrow('did you mean port?');
    expect(complaint).toThrow(
      'config.yaml:6: local.endpoints.iris.stable[0]: got "nowhere", must be host:port; write for example 127.0.0.1:9001',
    );
  });

  test('names the variable when the fault is in the environment', () => {
    const env = {
      AI_MODEL_SERVICE__SERVER__PORT: '99999',
      AI_MODEL_SERVICE__SERVER__PROT: '1',
      AI_MODEL_SERVICE__LOCAL__ENDPOINTS: '{"iris": {"stable": ["nowhere"]}}',
    };
    const complaint = (): unknown => parseConfig('server:\n  port: 1\n', env, 'config.yaml');
    expect(complaint).toThrow(/^AI_MODEL_SERVICE__SERVER__PORT: server\.port: got 99999/m);
    expect(complaint).toThrow(/^AI_MODEL_SERVICE__SERVER__PROT: server\.prot: unknown field/m);
    expect(complaint).toThrow(/^AI_MODEL_SERVICE__LOCAL__ENDPOINTS: local\.endpoints\.iris/m);
    expect(complaint).not.toThrow('config.yaml');
  });

  test('reports the place of a YAML syntax error', () => {
    expect(() => parseConfig('server: [', {}, 'c.yaml')).toThrow(/^c\.yaml: .*line 1/);
  });

  test('names keys in snake_case in errors', () => {
    expect(() => parseConfig('local:\n  pre_stop_seconds: -1\n')).toThrow(
      'config.yaml:2: local.pre_stop_seconds: got -1, must be ≥ 0; raise it',
    );
  });

  test('selects the cluster and the environment of models', () => {
    const { cluster, kubernetes } = parseConfig(
      'cluster: kubernetes\nkubernetes:\n  namespace: models\n  environment:\n    pod_security: baseline\n',
    );
    expect(cluster).toBe('kubernetes');
    expect(kubernetes).toMatchObject({ namespace: 'models', namespaces: [], mode: 'rest' });
    expect(kubernetes.environment).toMatchObject({
      podSecurity: 'baseline',
      namespace: 'ai-models',
    });
    expect(() => parseConfig('cluster: kubernetes\nkubernetes:\n  mode: direct\n')).toThrow(
      'config.yaml:3: kubernetes.mode: got "direct", must be one of rest, gitops; choose one',
    );
  });

  test('refuses URLs where it takes registries, hosts and names', () => {
    const config = parseConfig(
      "models:\n  allowed_registries: [ghcr.io/suoke, 'localhost:5000']\n  allowed_hosts: ['*.example.com', 'minio.example.com:9000']\nkubernetes:\n  allowed_secrets: [shared]\n",
    );
    expect(config.models.allowedRegistries).toEqual(['ghcr.io/suoke', 'localhost:5000']);
    expect(config.models.allowedHosts).toEqual(['*.example.com', 'minio.example.com:9000']);
    expect(config.kubernetes.allowedSecrets).toEqual(['shared']);
    const faulty = (text: string) => (): unknown => parseConfig(text);
    expect(faulty('models:\n  allowed_hosts: [https://x]\n')).toThrow('drop scheme and path');
    expect(faulty('models:\n  allowed_registries: [a/b:1]\n')).toThrow('drop scheme and tag');
    expect(faulty('kubernetes:\n  allowed_secrets: [A_B]\n')).toThrow('fix the name');
  });
});

test.each([
  ['127.0.0.1', true],
  ['localhost', true],
  ['::1', true],
  ['0.0.0.0', false],
  ['10.0.0.1', false],
])('%s is loopback: %s', (host, expected) => {
  expect(isLoopback(host)).toBe(expected);
});

/** The first configuration of the product, letter for letter. */
const FIRST = `kubernetes:
  namespace: "suoke-life"
  config_path: "~/.kube/config"

models:
  registry: "registry.suoke.life"
  default_resources:
    cpu: "2"
    memory: "8Gi"
    gpu: "1"
`;

describe('the first configuration of the product', () => {
  test('uses the kubeconfig of the home directory and its namespace', () => {
    const { cluster, kubernetes } = parseConfig(FIRST);
    expect(cluster).toBe('kubernetes');
    expect(kubernetes.namespace).toBe('suoke-life');
    expect(kubernetes.configPath).toBe(join(homedir(), '.kube', 'config'));
  });

  test('sets a registry and resources for models that name none', () => {
    const { registry, defaultResources } = parseConfig(FIRST).models;
    expect(registry).toBe('registry.suoke.life');
    expect(defaultResources).toEqual({ cpu: '2', memory: '8Gi', gpu: 1 });
  });

  test.each([
    ['registry: https://x', 'drop the scheme'],
    ['default_resources: { cpu: fast }', 'a CPU quantity'],
    ['default_resources: { memory: "8" }', 'write one with its unit'],
    ['default_resources: { gpu: half }', 'a whole number of GPUs'],
    ['default_resources: { gpu: "0" }', 'must be ≥ 1'],
    ['default_resources: { disk: 1Gi }', 'unknown field'],
  ])('%s is refused with the allowed values', (line, words) => {
    expect(() => parseConfig(`models:\n  ${line}\n`)).toThrow(words);
  });
});

describe('an environment with the defaults of models', () => {
  const parsed = (environment: string) =>
    parseConfig(
      `${FIRST}  watch: true\n`.replace('kubernetes:\n', `kubernetes:\n  ${environment}\n`),
    );

  test('fills in values that the environment leaves out', () => {
    const { environment } = parsed('environment: { pod_security: baseline }').kubernetes;
    expect(environment).toMatchObject({
      podSecurity: 'baseline',
      registry: 'registry.suoke.life',
      defaultResources: { cpu: '2', memory: '8Gi', gpu: 1 },
    });
  });

  test('gives the environment precedence, and reports a finding', () => {
    const config = parsed(
      'environment: { registry: ghcr.io/other, default_resources: { cpu: 500m } }',
    );
    const environment = config.kubernetes.environment as Environment;
    expect(environment.registry).toBe('ghcr.io/other');
    expect(environment.defaultResources).toEqual({ cpu: '500m', memory: '8Gi', gpu: 1 });
    expect(overruledDefaults(config, environment)).toEqual([
      'models.registry "registry.suoke.life" is not used: the environment says "ghcr.io/other"; remove one of the two',
      'models.default_resources.cpu "2" is not used: the environment says "500m"; remove one of the two',
    ]);
  });

  test('refuses a faulty environment', () => {
    expect(() => parsed('environment: { registrie: x }')).toThrow('did you mean registry?');
    expect(() => parsed('environment: { default_resources: 7 }')).toThrow('default_resources');
  });
});

describe('the cluster of models', () => {
  const clusterOf = (text: string, env: NodeJS.ProcessEnv = {}) => parseConfig(text, env).cluster;

  test('follows the configuration', () => {
    expect(clusterOf('cluster: local\nkubernetes: { namespace: a }\n')).toBe('local');
    expect(clusterOf('cluster: kubernetes\n')).toBe('kubernetes');
  });

  test('is Kubernetes with a namespace or kubeconfig, else this machine', () => {
    expect(clusterOf('kubernetes: { config_path: ~/.kube/config }\n')).toBe('kubernetes');
    expect(clusterOf('', { KUBERNETES_NAMESPACE: 'suoke-life' })).toBe('kubernetes');
    expect(clusterOf('', { KUBERNETES_NAMESPACE: '', KUBECONFIG: '/x' })).toBe('local');
    expect(clusterOf('kubernetes: { mode: gitops }\n')).toBe('local');
  });

  test('takes KUBERNETES_NAMESPACE before the file, and its long name before both', () => {
    const text = 'kubernetes: { namespace: file }\n';
    const namespaceOf = (env: NodeJS.ProcessEnv) => parseConfig(text, env).kubernetes.namespace;
    expect(namespaceOf({ KUBERNETES_NAMESPACE: 'short' })).toBe('short');
    const long = { AI_MODEL_SERVICE__KUBERNETES__NAMESPACE: 'long', KUBERNETES_NAMESPACE: 'short' };
    expect(namespaceOf(long)).toBe('long');
    expect(() => namespaceOf({ KUBERNETES_NAMESPACE: 'A_B' })).toThrow(/^KUBERNETES_NAMESPACE: /);
  });
});

test.each([
  ['models:\n  directory: ~/models\n', 'models'],
  ['local:\n  directory: ~/state\n', 'state'],
  ['audit:\n  file: ~/audit.jsonl\n', 'audit.jsonl'],
  ['server:\n  tls: { cert: ~/tls.crt, key: ~/tls.key }\n', 'tls.crt'],
])('~ is the home directory in every path: %j', (text, name) => {
  expect(JSON.stringify(parseConfig(text))).toContain(JSON.stringify(join(homedir(), name)));
  expect(() => parseConfig(text.replaceAll('~/', '~other/'))).toThrow('write the whole path');
});

describe('the payload in the audit record', () => {
  const audit = (payload: string, more = 'file: "-"\n  inference: true'): string =>
    `audit:\n  ${more}\n  payload: ${payload}\n`;

  test('is recorded only where it is asked for, within bounds', () => {
    expect(parseConfig('').audit.payload).toBeUndefined();
    expect(parseConfig(audit('{ sample_ratio: 0.5, models: [iris] }')).audit.payload).toEqual({
      sampleRatio: 0.5,
      models: ['iris'],
      redact: [],
      maxBytes: 16_384,
    });
  });

  test.each([
    ['{ sample_ratio: 1 }', undefined, 'audit.payload.models: is missing'],
    ['{ models: [a] }', undefined, 'audit.payload.sample_ratio: is missing'],
    [
      '{ sample_ratio: 1, models: [a], redact: ["$.a[0]"] }',
      undefined,
      'must be a JSON path of names: $.a.b',
    ],
    ['{ sample_ratio: 1, models: [a], max_bytes: 32769 }', undefined, 'audit.payload.max_bytes'],
    ['{ sample_ratio: 1, models: [a] }', 'file: "-"', 'must be true, since payload is given'],
    [
      '{ sample_ratio: 1, models: [a] }',
      'inference: true',
      'a file, or "-", since payload is given',
    ],
  ])('%s is refused', (payload, more, message) => {
    expect(() => parseConfig(audit(payload, more))).toThrow(message);
  });
});

describe('repeated keys and numbers in the configuration', () => {
  test('a repeated key is refused with both lines', () => {
    expect(() => parseConfig('server:\n  port: 1\n  host: a\n  port: 2\n')).toThrow(
      'config.yaml: line 4: server.port: is given twice, in lines 2 and 4; remove one',
    );
    const env = { AI_MODEL_SERVICE__LOCAL__ENDPOINTS: '{"a":{"stable":[]},"a":{}}' };
    expect(() => parseConfig('', env)).toThrow(
      'AI_MODEL_SERVICE__LOCAL__ENDPOINTS: a: is given twice in line 1; remove one',
    );
  });

  test('a second document is refused', () => {
    expect(() => parseConfig('server: {}\n---\nserver: {}\n')).toThrow(
      'config.yaml: line 2: a second YAML document begins here',
    );
  });

  test('a number in place of a text is quoted as written', () => {
    expect(() => parseConfig('server:\n  host: 1.10\n')).toThrow(
      'config.yaml:2: server.host: got 1.10, must be a string; put it in quotes: "1.10"',
    );
    expect(() => parseConfig('', { AI_MODEL_SERVICE__SERVER__HOST: '1.10' })).toThrow(
      'AI_MODEL_SERVICE__SERVER__HOST: server.host: got 1.10, must be a string; put it in quotes',
    );
  });
});
