import fc from 'fast-check';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import * as names from '../../lib/objects';
import { objectsOf } from '../../lib/objects';
import type { Environment, EnvironmentInput, ModelSpec } from '../../lib/spec';
import { DefinitionError, mergePatch, parseEnvironment } from '../../lib/spec';
import type { PolicyContext, Violation } from '../../runtime/core/policy';
import { policyViolations } from '../../runtime/core/policy';
import * as known from '../../runtime/core/policy/context';
import { models } from '../support/arbitrary';
import * as attacks from '../support/attacks';
import { EVERYTHING, FULL, podOf, sourceOf, V, volumeOf } from '../support/attacks';
import { model, specOf } from '../support/manifests';

type Plain = Readonly<Record<string, unknown>>;

/** Every Secret a definition names. */
function secretsOf({ arms }: ModelSpec): readonly string[] {
  return arms.flatMap(({ env, source }) => [
    ...Object.values(env).flatMap((value) => (typeof value === 'string' ? [] : [value.secret])),
    ...[source?.credentials?.secret, source?.ca].filter((name) => name !== undefined),
  ]);
}

function contextOf(
  spec: ModelSpec,
  environment: Environment,
  more: Partial<PolicyContext> = {},
): PolicyContext {
  const files = spec.arms.flatMap(({ source }) => source?.content?.sha256 ?? []);
  const { registry, images } = environment;
  const prefix = registry === undefined ? '' : `${registry}/`;
  return {
    spec,
    namespace: environment.namespace,
    admin: false,
    allowedSecrets: [],
    pullSecrets: environment.imagePullSecrets,
    trustedImages: Object.values(images).flatMap((image) => [image, `${prefix}${image}`]),
    own: ['router-keys'],
    ownLabels: { app: 'ai-model-service' },
    knownFiles: new Set(files),
    ...more,
  };
}

interface Scene {
  readonly definition?: object;
  readonly more?: Partial<PolicyContext>;
}

function found(scene: Scene, change: (objects: Plain[]) => readonly unknown[] = (all) => all) {
  const spec = specOf(model({ ...FULL, ...scene.definition }));
  const environment = parseEnvironment(EVERYTHING);
  const objects = change(objectsOf(spec, environment));
  return policyViolations(objects, contextOf(spec, environment, scene.more));
}

/** The objects with a merge patch on the first of a kind (and name). */
function patched(kind: string, patch: object, more: Partial<PolicyContext> = {}) {
  const [wanted, name] = kind.split('/');
  return found({ more }, (all) => {
    const target = all.find(
      (one) =>
        one['kind'] === wanted &&
        (name === undefined || (one['metadata'] as Plain)['name'] === name),
    );
    if (target === undefined) throw new Error(`no ${kind}`);
    return all.map((one) => (one === target ? mergePatch(one, patch) : one));
  });
}

const pathsOf = (all: readonly Violation[]): readonly string[] => all.map(({ path }) => path);

test('the kinds of a model that has everything pass, and all of them are there', () => {
  expect(found({})).toEqual([]);
  const kinds = new Set(
    objectsOf(specOf(model(FULL)), parseEnvironment(EVERYTHING)).map(({ kind }) => kind),
  );
  expect(kinds.size).toBe(11);
});

test.each(attacks.POD_ATTACKS)('a pod may not have %s, whoever asks', (_, kind, patch, path) => {
  for (const admin of [false, true]) {
    expect(pathsOf(patched(`${kind}/iris`, patch, { admin }))).toContain(path);
  }
});

test.each(attacks.OBJECT_ATTACKS)('an object may not have %s (%s)', (_, kind, patch, path) => {
  for (const admin of [false, true]) {
    expect(pathsOf(patched(kind, patch, { admin }))).toContain(path);
  }
});

/** What an override of the same says: undefined when it is rendered. */
function refusedOverride(kind: string, patch: object): string | undefined {
  try {
    const overrides = { [kind.split('/')[0] ?? kind]: patch };
    objectsOf(specOf(model({ ...FULL, overrides })), parseEnvironment(EVERYTHING));
    return undefined;
  } catch (error) {
    if (error instanceof DefinitionError) return error.faults[0]?.path;
    throw error;
  }
}

test.each([...attacks.POD_ATTACKS, ...attacks.OBJECT_ATTACKS])(
  'the table says whether overrides come as far as the policy with %s (%s)',
  (_, kind, patch, path, stoppedBy) => {
    const named = refusedOverride(kind, patch);
    expect(named === undefined).toBe(stoppedBy === 'policy');
    const whole = `overrides.${kind.split('/')[0]}.${path}`;
    expect(named === undefined || whole.startsWith(named)).toBe(true);
  },
);

test.each(attacks.ASKINGS)('a writer does not get %s', (_, definition, path) => {
  const more = {
    allowedSecrets: attacks.ALLOWED_SECRETS,
    allowedHosts: attacks.ALLOWED_HOSTS,
    allowedRegistries: attacks.ALLOWED_REGISTRIES,
    knownFiles: new Set<string>(),
  };
  const paths = pathsOf(found({ definition: mergePatch(FULL, definition) as object, more }));
  expect(paths.some((one) => one.endsWith(path))).toBe(true);
});

test.each(attacks.FOREIGN_KINDS)('a model has no %s', (kind) => {
  const metadata = {
    name: 'iris',
    namespace: 'ai-models',
    labels: { [known.MODEL_LABEL]: 'iris' },
  };
  const all = found({}, (objects) => [...objects, { apiVersion: 'v1', kind, metadata }]);
  expect(all).toEqual([
    expect.objectContaining({ object: `${kind}/iris`, path: 'kind', got: kind }),
  ]);
});

test('a ConfigMap of content may not enter the registry', () => {
  const labels = { [known.DEFINITION_LABEL]: 'true' };
  const all = found({}, (objects) =>
    objects.map((one) =>
      /--server-/.test(String((one['metadata'] as Plain)['name']))
        ? mergePatch(one, { metadata: { labels } })
        : one,
    ),
  );
  // One for each arm: their versions make their files differ.
  const path = `metadata.labels["${known.DEFINITION_LABEL}"]`;
  expect(pathsOf(all)).toEqual([path, path]);
});

test.each(attacks.ADMIN_FIELDS)(
  '%s need the scope admin, and stay when somebody else changes the rest',
  (path, definition) => {
    expect(pathsOf(found({ definition }))).toEqual([path]);
    expect(found({ definition, more: { admin: true } })).toEqual([]);
    const before = specOf(model({ ...FULL, ...definition }));
    const changed = { ...definition, version: 'v9' };
    expect(found({ definition: changed, more: { before } })).toEqual([]);
    expect(found({ more: { before } })).toEqual([]);
  },
);

test.each(attacks.HANDED_OUT)(
  'the annotation %s needs the scope admin: something hands out more by it',
  (key) => {
    const definition = { annotations: { [key]: 'x' } };
    const all = found({ definition });
    expect(all.length).toBeGreaterThan(0);
    expect(all.every(({ path }) => path.endsWith(`annotations["${key}"]`))).toBe(true);
    expect(found({ definition, more: { admin: true } })).toEqual([]);
    const before = specOf(model({ ...FULL, ...definition }));
    expect(found({ definition, more: { before } })).toEqual([]);
  },
);

test.each(attacks.IMAGES)(
  'from ghcr.io and registry.example.com/team alone: %s is %s',
  (image, fine) => {
    const allowedRegistries = attacks.ALLOWED_REGISTRIES;
    const definition = { image };
    const all = found({ definition, more: { allowedRegistries } });
    expect(all.length === 0).toBe(fine);
    expect(found({ definition, more: { allowedRegistries, admin: true } })).toEqual([]);
    const before = specOf(model({ ...FULL, ...definition }));
    expect(found({ definition, more: { allowedRegistries, before } })).toEqual([]);
  },
);

test.each([
  ['suoke/iris:1', true],
  ['docker.io/suoke/iris:1', true],
  ['index.docker.io/suoke/iris:1', true],
  ['iris:1', false],
  ['localhost/suoke/iris:1', false],
])('from docker.io/suoke alone: %s is %s', (image, fine) => {
  const all = found({ definition: { image }, more: { allowedRegistries: ['docker.io/suoke'] } });
  expect(all.length === 0).toBe(fine);
});

test.each(attacks.NOWHERE)('an artifact is never loaded from %s, whoever asks', (uri) => {
  for (const admin of [false, true]) {
    const all = found({ definition: sourceOf(uri), more: { admin } });
    expect(pathsOf(all)).toContain('repository_url');
    expect(JSON.stringify(all)).not.toContain('models.example.com:x');
  }
});

test.each([
  'https://models.example.com/x.pkl',
  'https://10.1.2.3/x.pkl',
  'https://127.example.com/x.pkl',
  'https://localhost.example.com/x.pkl',
  'https://[fd12::1]/x.pkl',
  'https://[2001:db8::1]/x.pkl',
  's3://localhost/x.pkl',
])('%s is a place like any other', (uri) => {
  expect(found({ definition: sourceOf(uri) })).toEqual([]);
});

test('the endpoint of a store, and the sources of candidates, are looked at as well', () => {
  const endpoint = 'http://169.254.169.254/';
  const source = { uri: 's3://models/iris', endpoint };
  expect(pathsOf(found({ definition: { source } }))).toEqual([
    'repository_url.endpoint',
    'candidates[0].repository_url.endpoint',
  ]);
  const candidates = [{ version: 'v2', source: 'https://[::1]/x.pkl', traffic: 1 }];
  expect(pathsOf(found({ definition: { candidates } }))).toEqual(['candidates[0].repository_url']);
});

test.each(attacks.SOURCES)('with allowed hosts %s is %s', (uri, fine) => {
  const allowedHosts = attacks.ALLOWED_HOSTS;
  const all = found({ definition: sourceOf(uri), more: { allowedHosts } });
  expect(all.length === 0).toBe(fine);
});

test.each(attacks.SELECTED_BY)(
  'the label %s needs the scope admin: others may select by it',
  (key) => {
    const definition = { labels: { [key]: 'payments' } };
    const paths = pathsOf(found({ definition }));
    expect(new Set(paths)).toEqual(
      new Set([`spec.template.metadata.labels${key === 'k8s-app' ? '["k8s-app"]' : `.${key}`}`]),
    );
    expect(found({ definition, more: { admin: true } })).toEqual([]);
    const before = specOf(model({ ...FULL, ...definition }));
    expect(found({ definition, more: { before } })).toEqual([]);
    expect(found({ definition: { labels: { [`example.com/${key}`]: 'x' } } })).toEqual([]);
  },
);

test('a claim that is not the model’s own is only read', () => {
  const mount = (claim: object): object => volumeOf({ persistentVolumeClaim: claim });
  expect(pathsOf(patched('Deployment/iris', mount({ claimName: 'models' })))).toContain(
    `${V}.persistentVolumeClaim.readOnly`,
  );
  const source = 'pvc://models/iris.pkl';
  expect(found({ definition: { source, cache: undefined } })).toEqual([]);
});

test('Secrets that are allowed may be named, but never the service’s own', () => {
  const named = (secret: string): object => ({ env: { A_TOKEN: { secret, key: 'x' } } });
  const allowedSecrets = attacks.ALLOWED_SECRETS;
  const at = (secret: string) => found({ definition: named(secret), more: { allowedSecrets } });
  expect(at('shared')).toEqual([]);
  expect(at('iris--mine')).toEqual([]);
  expect(at('other').length).toBeGreaterThan(0);
  expect(at('router-keys').length).toBeGreaterThan(0);
  expect(at('ai-model-service-keys').length).toBeGreaterThan(0);
});

test('a model whose name is one of the service’s own has no objects', () => {
  const all = found({ more: { own: ['iris'] } });
  const named = all.filter(({ path }) => path === 'metadata.name').map(({ object }) => object);
  expect(named).toEqual(expect.arrayContaining(['ServiceAccount/iris', 'Deployment/iris']));
});

test('a file is taken only when it is known', () => {
  const definition = { framework: 'onnx', source: './iris.onnx', cache: undefined };
  expect(found({ definition })).toEqual([]);
  expect(pathsOf(found({ definition, more: { knownFiles: new Set() } }))).toEqual([
    'repository_url',
    'candidates[0].repository_url',
  ]);
});

test('a runtime class that the definition names in the open is allowed', () => {
  expect(found({ definition: { scheduling: { runtimeClass: 'gvisor' } } })).toEqual([]);
});

test('a violation says what, got, allowed and how to mend it', () => {
  expect(patched('Deployment/iris', podOf({ hostNetwork: true }))).toEqual([
    {
      object: 'Deployment/iris',
      path: 'spec.template.spec.hostNetwork',
      got: 'true',
      allowed: 'false',
      message:
        'Deployment/iris spec.template.spec.hostNetwork: got true, must be false; leave it so',
    },
  ]);
});

test('odd input is refused and never throws', () => {
  const context = contextOf(specOf(model()), parseEnvironment());
  fc.assert(
    fc.property(fc.array(fc.jsonValue(), { minLength: 1 }), (objects) => {
      expect(policyViolations(objects, context).length).toBeGreaterThan(0);
    }),
  );
});

/** Undefined for what can be parsed and not rendered, as a file for a server that wants a folder. */
function tryObjects(spec: ModelSpec, environment: Environment): readonly unknown[] | undefined {
  try {
    return objectsOf(spec, environment);
  } catch (error) {
    if (error instanceof DefinitionError) return undefined;
    throw error;
  }
}

test('what a plain writer’s definitions become always passes', () => {
  fc.assert(
    fc.property(models, fc.constantFrom<EnvironmentInput>({}, EVERYTHING), (input, given) => {
      const spec = specOf(input);
      const environment = parseEnvironment(given);
      const made = tryObjects(spec, environment);
      fc.pre(made !== undefined);
      const allowed = { allowedSecrets: secretsOf(spec), allowedRegistries: [] };
      expect(policyViolations(made, contextOf(spec, environment, allowed))).toEqual([]);
    }),
  );
});

const GOLDEN = join(__dirname, '..', 'golden', 'objects');
const golden = readdirSync(GOLDEN).filter((name) => /(?<!\.k8s)\.yaml$/.test(name));

test.each(golden)('%s passes', (name) => {
  const given = parse(readFileSync(join(GOLDEN, name), 'utf8')) as {
    readonly definition: object;
    readonly environment?: EnvironmentInput;
    readonly files?: Readonly<Record<string, string>>;
  };
  const spec = specOf(given.definition, given.files);
  const environment = parseEnvironment(given.environment);
  const admin = ['overrides', 'command', 'args'].some((field) => field in given.definition);
  const more = { admin, allowedSecrets: secretsOf(spec) };
  expect(
    policyViolations(objectsOf(spec, environment), contextOf(spec, environment, more)),
  ).toEqual([]);
});

test('the names that the core knows are those of the objects', () => {
  const { MODEL_LABEL, ARM_LABEL, DEFINITION_LABEL, DEFINITION_KEY } = names;
  expect(known).toMatchObject({ MODEL_LABEL, ARM_LABEL, DEFINITION_LABEL, DEFINITION_KEY });
  expect(known.isOwnName({ own: [] } as unknown as PolicyContext, names.MANAGER)).toBe(true);
});
