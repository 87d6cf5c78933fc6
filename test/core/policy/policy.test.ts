import fc from 'fast-check';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { EnvironmentInput, ModelSpec } from '../../../lib/spec';
import {
  DefinitionError,
  inForm,
  mergePatch,
  modelSchema,
  parseEnvironment,
  parseModel,
  updateModel,
} from '../../../lib/spec';
import { hostKind } from '../../../lib/spec/hosts';
import { MANAGER } from '../../../lib/objects';
import { OVERRIDES_CONFIGMAP } from '../../../runtime/cluster/kubernetes/apply/overrides-store';
import type { PolicyRules } from '../../../runtime/core/policy/policy';
import { policyFaults } from '../../../runtime/core/policy/policy';
import { isServiceName } from '../../../runtime/core/policy/context';
import { models } from '../../support/arbitrary';
import * as attacks from '../../support/attacks';
import { FULL, sourceOf } from '../../support/attacks';
import { model, specOf } from '../../support/manifests';

interface Scene {
  readonly rules?: PolicyRules;
  readonly held?: readonly ModelSpec[];
  readonly environment?: EnvironmentInput;
}

/** Paths of what is refused, as REST calls them; those of the schema count, too. */
function refused(definition: object, scene: Scene = {}): readonly string[] {
  try {
    const spec = specOf(mergePatch(model(FULL), definition) as object);
    return faultsOf(spec, scene).map(({ path }) => path);
  } catch (error) {
    if (!(error instanceof DefinitionError)) throw error;
    return error.faults.map((found) => inForm(found, modelSchema, 'wire').path);
  }
}

function faultsOf(spec: ModelSpec, { rules = {}, held = [], environment }: Scene = {}) {
  const faults = policyFaults({ spec, held, rules, environment: parseEnvironment(environment) });
  return faults.map((found) => inForm(found, modelSchema, 'wire'));
}

const RULES: PolicyRules = {
  secrets: attacks.ALLOWED_SECRETS,
  hosts: attacks.ALLOWED_HOSTS,
  registries: attacks.ALLOWED_REGISTRIES,
};

test('a model with its own resources only passes', () => {
  expect(refused({})).toEqual([]);
});

test.each([...attacks.POD_ATTACKS, ...attacks.OBJECT_ATTACKS])(
  'overrides are refused by REST: %s (%s)',
  (_, kind, patch) => {
    const [name = kind] = kind.split('/');
    const paths = refused({ overrides: { [name]: patch } });
    expect(paths.filter((path) => path.startsWith('overrides'))).not.toEqual([]);
  },
);

test.each(attacks.FOREIGN_KINDS)('a model must not have %s', (kind) => {
  const overrides = Object.fromEntries([[kind, { metadata: { name: 'iris' } }]]);
  expect(refused({ overrides })).toEqual([`overrides.${kind}`]);
});

test.each(attacks.ASKINGS)('REST rejects: %s', (_, definition, path) => {
  const paths = refused(definition, { rules: RULES });
  expect(paths.filter((one) => one.startsWith(path))).not.toEqual([]);
});

/** What somebody who owns the cluster has put there. */
const GRANTED: readonly (readonly [path: string, definition: object])[] = [
  ...attacks.UNSPOKEN,
  ['environment_variables.LD_PRELOAD', { env: { LD_PRELOAD: '/usr/lib/jemalloc.so' } }],
  ['environment_variables.DB.secret', { env: { DB: { secret: 'db', key: 'x' } } }],
  ['repository_url.credentials.secret', { source: { credentials: { secret: 'db' } } }],
  ['repository_url', { source: 'pvc://postgres-data/x', cache: null }],
  ['labels["azure.workload.identity/use"]', { labels: { 'azure.workload.identity/use': 'true' } }],
  ['annotations["prometheus.io/scrape"]', { annotations: { 'prometheus.io/scrape': 'true' } }],
  ['scheduling.priority_class', { scheduling: { priorityClass: 'production' } }],
  ['scheduling.tolerations[0]', { scheduling: { tolerations: [{ operator: 'Exists' }] } }],
  ['server.implementation', { server: { kind: 'mlserver', implementation: 'own.Class' } }],
];

describe.each(GRANTED)('a stored value: %s', (path, definition) => {
  const before = specOf(mergePatch(model(FULL), definition) as object);
  const held = [before];

  test('may not be added, and may not be changed', () => {
    expect(refused(definition)).toContain(path);
    const other = JSON.parse(
      JSON.stringify(definition)
        .replaceAll('jemalloc', 'evil')
        .replaceAll('"db"', '"payments"')
        .replaceAll('postgres', 'mysql')
        .replaceAll('admin', 'root')
        .replaceAll('"x"', '"y"')
        .replaceAll(':30', ':31')
        .replaceAll('own.Class', 'os.system')
        .replaceAll('"true"', '"false"')
        .replaceAll('production', 'batch')
        .replaceAll('Exists"', 'Exists","effect":"NoExecute"')
        .replaceAll('curl', 'wget')
        .replaceAll('--', '---'),
    ) as object;
    expect(other).not.toEqual(definition);
    expect(refused(other, { held })).toContain(path);
  });

  test('may stay while the rest changes, may move to another arm, and may be removed by null', () => {
    const change = (patch: object): ModelSpec => updateModel(before.definition, patch);
    for (const patch of [{ version: 'v9' }, { scaling_config: { min_replicas: 3 } }]) {
      expect(faultsOf(change(patch), { held })).toEqual([]);
    }
    const candidates = [{ version: 'v3', traffic: 20 }];
    expect(faultsOf(change({ candidates }), { held })).toEqual([]);
    const spec = specOf(model(FULL));
    expect(faultsOf(spec, { held })).toEqual([]);
    expect(refused(definition, { held: [spec] })).toContain(path);
  });
});

test.each([
  ['overrides', { overrides: { Deployment: { spec: { minReadySeconds: 30 } } } }],
  ['a role of a cloud', { serviceAccountAnnotations: { 'eks.amazonaws.com/role-arn': 'x' } }],
  ['a Secret', { env: { DB: { secret: 'db', key: 'x' } } }],
  ['an identity', { labels: { 'azure.workload.identity/use': 'true' } }],
])('%s may not be kept by other code than it was stored for', (_, definition) => {
  const before = specOf(
    mergePatch(model({ ...FULL, image: 'ghcr.io/a/b:1' }), definition) as object,
  );
  const after = (patch: object) =>
    faultsOf(updateModel(before.definition, patch), { held: [before] });
  expect(after({ docker_image: 'ghcr.io/a/b:2' })).toEqual([]);
  expect(after({ docker_image: 'ghcr.io/a/evil:1' })).not.toEqual([]);
  expect(after({ repository_url: { uri: 's3://evil/iris' } })).not.toEqual([]);
  expect(after({ repository_url: { endpoint: 'https://evil.com' } })).not.toEqual([]);
  const candidates = [{ version: 'v7', traffic: 1, docker_image: 'ghcr.io/a/evil:1' }];
  expect(after({ candidates })).not.toEqual([]);
});

test('a stored image allows no other image: neither by its suffix nor in a candidate', () => {
  const scene = (held: readonly ModelSpec[]): Scene => ({ rules: RULES, held });
  const approved = specOf(model({ image: 'suoke/iris:1', source: undefined, framework: 'custom' }));
  const put = (patch: object) =>
    faultsOf(updateModel(approved.definition, patch), scene([approved]));
  expect(put({ version: 'v2' })).toEqual([]);
  for (const image of ['evil.example/suoke/iris:1', 'evil.example/ghcr.io/suoke/iris:1']) {
    expect(put({ docker_image: image }).map(({ path }) => path)).toEqual(['docker_image']);
    const candidates = [{ version: '2', docker_image: image, traffic: 100 }];
    expect(put({ candidates }).map(({ path }) => path)).toEqual(['candidates[0].docker_image']);
  }
  // Promoted, it is what it was as a candidate.
  const candidates = [{ version: '2', docker_image: 'other/iris:2', traffic: 1 }];
  const beside = updateModel(approved.definition, { candidates });
  const promoted = updateModel(approved.definition, { version: '2', docker_image: 'other/iris:2' });
  expect(faultsOf(promoted, scene([beside]))).toEqual([]);
  expect(faultsOf(promoted, scene([approved]))).not.toEqual([]);
});

test.each(attacks.IMAGES)(
  'with ghcr.io and registry.example.com/team allowed: %s is %s',
  (image, fine) => {
    expect(refused({ image }, { rules: RULES })).toEqual(fine ? [] : ['docker_image']);
    expect(refused({ image })).toEqual([]);
  },
);

test('images of the environment are always allowed, and its registry counts as written', () => {
  const environment = { registry: 'ghcr.io/mirror', images: { mlserver: 'internal/mlserver:1' } };
  const at = (image: string) => refused({ image }, { rules: RULES, environment });
  expect(at('internal/mlserver:1')).toEqual([]);
  expect(at('suoke/iris:1')).toEqual([]);
  expect(at('evil.com/suoke/iris:1')).toEqual(['docker_image']);
  expect(at('Evil/iris:1')).toEqual(['docker_image']);
});

test.each(attacks.NOWHERE)('an artifact is not loaded from %s', (uri) => {
  const paths = refused(sourceOf(uri));
  expect(paths[0]).toMatch(/^repository_url(?:\.uri)?$/);
  // Not even by a wide entry of the configuration.
  expect(refused(sourceOf(uri), { rules: { hosts: ['*.example.com'] } })).toEqual(paths);
});

test.each([
  'https://models.example.com/x.pkl',
  'https://127.example.com/x.pkl',
  'https://localhost.example.com/x.pkl',
  'https://[2001:db8::1]/x.pkl',
  's3://localhost/x.pkl',
])('%s is treated like any other host', (uri) => {
  expect(refused(sourceOf(uri))).toEqual([]);
});

test.each([
  ['https://10.1.2.3/x.pkl', '10.1.2.3'],
  ['https://[fd12::1]:8443/x.pkl', '[fd12::1]:8443'],
  ['oci://registry.infra.svc:5000/iris:1', 'registry.infra.svc:5000'],
  ['https://localhost/x.pkl', 'localhost'],
])('%s is loaded from when the configuration names %s', (uri, entry) => {
  expect(refused(sourceOf(uri), { rules: { hosts: [entry] } })).toEqual([]);
});

test('no entry of the configuration allows a metadata service', () => {
  for (const host of ['169.254.169.254', '[fd20:ce::254]', 'metadata.google.internal']) {
    const uri = `https://${host}/x.pkl`;
    expect(refused(sourceOf(uri), { rules: { hosts: [host] } })).toContain('repository_url');
  }
});

test.each(attacks.SOURCES)('with allowed hosts %s is %s', (uri, fine) => {
  const paths = refused(sourceOf(uri), { rules: { hosts: attacks.ALLOWED_HOSTS } });
  expect(paths).toEqual(fine ? [] : ['repository_url']);
});

test.each([
  ['8.8.8.8', 'public'],
  ['2606:4700::1111', 'public'],
  ['::ffff:8.8.8.8', 'public'],
  ['::ffff:10.0.0.1', 'inside'],
  ['2002:0a00:0001::', 'inside'],
  ['64:ff9b::7f00:1', 'loopback'],
  ['64:ff9b:1::8.8.8.8', 'inside'],
  ['fc00::1', 'inside'],
  ['fe80::1%eth0', 'never'],
  ['ff02::1', 'never'],
  ['240.0.0.1', 'never'],
  ['100.100.100.200', 'never'],
  ['100.64.0.1', 'inside'],
  ['172.32.0.1', 'public'],
  ['1:2:3', 'never'],
])('the address %s is %s', (address, kind) => {
  expect(hostKind(address)).toBe(kind);
});

test.each(attacks.PLAIN_VARIABLES)('the variable %s may be set', (name) => {
  expect(refused({ env: { [name]: 'x' } })).toEqual([]);
});

test.each([
  [{ framework: 'huggingface', type: 'llm' }, ['--max-num-seqs=64', '--seed', '1'], true],
  [{ framework: 'huggingface', type: 'llm' }, ['--enforce-eager'], true],
  [{ framework: 'huggingface', type: 'llm' }, ['--enforce-eager=/x'], false],
  [{ framework: 'huggingface', type: 'llm' }, ['--trust-remote-code'], false],
  [{ framework: 'huggingface', type: 'llm' }, ['--max-num-seqs=64', '--load-format=x'], false],
  [{ framework: 'huggingface', type: 'llm' }, ['--tool-call-parser=/models/x.py'], false],
  [{ framework: 'huggingface', type: 'llm' }, ['--max-num-seqs'], false],
  [{ framework: 'huggingface', type: 'llm' }, ['--seed', '1', '/other/model'], false],
  [{ framework: 'huggingface', type: 'llm', image: 'own/vllm:1' }, ['--seed=1'], false],
  [{ framework: 'pytorch' }, ['--log-verbose=1'], true],
  [{ framework: 'pytorch' }, ['--backend-directory=/models'], false],
  [{ framework: 'tensorflow' }, ['--rest_api_num_threads=8'], true],
  [{ framework: 'tensorflow' }, ['--platform_config_file=/x'], false],
  [{ framework: 'sklearn' }, ['--anything'], false],
  [{ framework: 'onnx' }, ['--model=x=/etc/passwd'], false],
])('%j accepts the arguments %j: %s', (definition, args, fine) => {
  expect(refused({ ...definition, args })).toEqual(fine ? [] : ['args']);
});

test('a candidate of another kind must accept the arguments, too', () => {
  const base = { framework: 'pytorch', args: ['--log-verbose=1'] };
  const candidates = [{ version: 'v2', traffic: 1, image: 'own/triton:1' }];
  expect(refused({ ...base, candidates })).toEqual(['args']);
});

test('a stored key of a Secret allows no other key of it', () => {
  const before = specOf(
    mergePatch(model(FULL), { env: { DB: { secret: 'db', key: 'reader' } } }) as object,
  );
  const after = (key: string) =>
    faultsOf(updateModel(before.definition, { env: { DB: { secret: 'db', key } } }), {
      held: [before],
    }).map(({ path }) => path);
  expect(after('reader')).toEqual([]);
  expect(after('root')).toEqual(['environment_variables.DB.secret']);
});

test('values allowed by the configuration pass', () => {
  const rules: PolicyRules = {
    secrets: ['shared'],
    claims: ['datasets'],
    metadata: ['team.example.com/*', 'tenant'],
    nodes: ['dedicated', 'pool.example.com/*'],
    classes: ['batch', 'gvisor', 'nfs'],
  };
  const definition = {
    env: { A: { secret: 'shared', key: 'x' } },
    labels: { 'team.example.com/name': 'x', tenant: 'y', team: 'z' },
    annotations: { 'team.example.com/name': 'x', description: 'y' },
    scheduling: {
      priorityClass: 'batch',
      runtimeClass: 'gvisor',
      nodeSelector: { dedicated: 'ml', 'kubernetes.io/arch': 'arm64' },
      tolerations: [{ key: 'dedicated', operator: 'Exists' }, { key: 'nvidia.com/gpu' }],
    },
    cache: { size: '1Gi', storageClass: 'nfs' },
  };
  expect(refused(definition, { rules })).toEqual([]);
  expect(refused({ source: 'pvc://datasets/x', cache: null }, { rules })).toEqual([]);
  expect(refused(definition)).toHaveLength(9);
  const taken = { labels: { 'team.example.com/name': 'x' } };
  const environment = { runtime: { labels: { 'team.example.com/name': 'router' } } };
  expect(refused(taken, { rules, environment })).toEqual(['labels["team.example.com/name"]']);
});

test('allowed Secrets may be named, except the service’s own', () => {
  const at = (secret: string) => refused({ env: { A: { secret, key: 'x' } } }, { rules: RULES });
  expect(at('shared')).toEqual([]);
  expect(at('iris--mine')).toEqual([]);
  for (const name of ['other', 'iris-two--mine', 'ai-model-service-keys', MANAGER]) {
    expect(at(name)).toEqual(['environment_variables.A.secret']);
  }
});

test('a model may not have the service’s own names', () => {
  expect([MANAGER, OVERRIDES_CONFIGMAP, `${MANAGER}-keys`].every(isServiceName)).toBe(true);
  const spec = specOf(model({ ...FULL, id: 'ai-model-service' }));
  expect(faultsOf(spec).map(({ path }) => path)).toContain('model_id');
  // Its own objects would have names that begin so.
  expect(refused({ env: { A: { secret: 'ai-model-service--x', key: 'x' } } })).not.toEqual([]);
});

test('a fault has the place, the value, the allowed ones and the correction', () => {
  const spec = specOf(model({ ...FULL, scheduling: { priorityClass: 'system-node-critical' } }));
  expect(faultsOf(spec)).toEqual([
    {
      path: 'scheduling.priority_class',
      got: '"system-node-critical"',
      allowed: 'absent',
      message:
        'got "system-node-critical", must be absent; put it in Git, or have kubernetes.allowed_classes extended',
    },
  ]);
});

test('names of inherited methods are ordinary keys', () => {
  for (const key of ['constructor', 'toString', 'hasOwnProperty']) {
    expect(refused({ env: { [key]: 'x' } })).toEqual([]);
    expect(refused({ labels: { [key]: 'x' } })).toEqual([`labels.${key}`]);
  }
});

test('ordinary definitions pass', () => {
  const rules: PolicyRules = { secrets: ['a'], claims: ['claim'], registries: [], hosts: [] };
  fc.assert(
    fc.property(models, (input) => {
      const spec = specOf(input);
      // A, TF_, PATH and the like: names are made at random.
      const paths = faultsOf(spec, { rules }).map(({ path }) => path);
      expect(paths.filter((path) => !/environment_variables/.test(path))).toEqual([]);
    }),
  );
});

const GOLDEN = join(__dirname, '..', '..', 'golden', 'objects');
const golden = readdirSync(GOLDEN).filter((name) => /(?<!\.k8s)\.yaml$/.test(name));

test.each(golden)('%s may stay once it is stored', (name) => {
  const { definition, environment } = parse(readFileSync(join(GOLDEN, name), 'utf8')) as {
    readonly definition: object;
    readonly environment?: EnvironmentInput;
  };
  const spec = parseModel(definition);
  expect(faultsOf(spec, { held: [spec], ...(environment && { environment }) })).toEqual([]);
});
