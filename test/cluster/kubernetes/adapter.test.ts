import { objectsOf } from '../../../lib/objects';
import type { ModelSpec } from '../../../lib/spec';
import { definitionHash, parseModel, updateModel } from '../../../lib/spec';
import type { KubeObject } from '../../../runtime/cluster/kubernetes/client/api';
import {
  APPLIED_ANNOTATION,
  DELETING_ANNOTATION,
} from '../../../runtime/cluster/kubernetes/apply/stored-definition';
import { kindNameOf } from '../../../runtime/cluster/kubernetes/apply/apply-plan';
import { at, numberAt } from '../../../runtime/cluster/kubernetes/client/object-fields';
import { RESOURCES, resourceOf } from '../../../runtime/cluster/kubernetes/client/resources';
import type { Timing } from '../../../runtime/cluster/kubernetes/client/timing';
import { realTiming } from '../../../runtime/cluster/kubernetes/client/timing';
import { OVERRIDES_CONFIGMAP } from '../../../runtime/cluster/kubernetes/apply/overrides-store';
import type { Cluster } from '../../../runtime/cluster/port';
import { ClusterError } from '../../../runtime/cluster/port';
import { failure, stopApiServers } from '../../support/apiserver';
import { isReady, now, when } from '../conformance';
import type { Fake } from './fake';
import { environment, startFake, withFile } from './fake';

// The first test of a file waits until jest has transformed client-node.
jest.setTimeout(60_000);

const REST = { by: 'anna', manager: 'rest' };
const NAMESPACE = 'models';
const { ConfigMap, ControllerRevision, Deployment } = RESOURCES;

const model = (more: object = {}): ModelSpec =>
  parseModel({ id: 'iris', version: '1', framework: 'onnx', source: 's3://m/iris.onnx', ...more });

let fake: Fake;
let cluster: Cluster;
beforeEach(async () => {
  fake = await startFake();
  cluster = await fake.open();
});
afterEach(async () => {
  await fake.end();
  await stopApiServers();
});

const store = () => fake.server.store;
const holder = (): KubeObject => store().get(ConfigMap, NAMESPACE, 'iris--model');
const deployment = (name = 'iris') => store().find(Deployment, NAMESPACE, name);
const replicas = (name = 'iris') => numberAt(deployment(name), 'spec', 'replicas');
const record = (id = 'iris') => now(cluster).models.get(id);

/** `kubectl apply --server-side`. */
function kubectl(spec: ModelSpec, force = false, manager = 'kubectl'): void {
  const made = objectsOf(spec, environment({ namespace: NAMESPACE })) as readonly KubeObject[];
  for (const object of made)
    store().apply(resourceOf(object), NAMESPACE, object, { manager, force });
}

async function refusal(work: Promise<unknown>): Promise<ClusterError> {
  const error = await work.then(
    () => new Error('it was done'),
    (reason: unknown) => reason,
  );
  if (error instanceof ClusterError) return error;
  throw error;
}

/** Writes that were asked for, as `PATCH deployments/iris`; rehearsals are no writes. */
const writes = (): readonly string[] =>
  fake.server.seen
    .filter(({ method, query }) => method !== 'GET' && !query.has('dryRun'))
    .map(({ method, path }) => `${method} ${path.split('/').slice(-2).join('/')}`);

describe('applying a definition', () => {
  test('dry-runs everything, then writes the definition first and the rest in order', async () => {
    await cluster.apply(model(), REST);
    const rehearsed = fake.server.seen.filter(({ query }) => query.get('dryRun') === 'All');
    expect(rehearsed.map(({ path }) => path.split('/').at(-2)).sort()).toEqual([
      'configmaps',
      'deployments',
      'horizontalpodautoscalers',
      'networkpolicies',
      'serviceaccounts',
    ]);
    expect(writes()).toEqual([
      'POST models/configmaps',
      'PATCH configmaps/iris--model',
      'PATCH serviceaccounts/iris',
      'PATCH networkpolicies/iris',
      'PATCH deployments/iris',
      'PATCH horizontalpodautoscalers/iris',
      'POST models/controllerrevisions',
    ]);
  });

  test('records manager, time and revision on the definition, not on the pods', async () => {
    await cluster.apply(model(), REST);
    const stamp = JSON.parse(holder().metadata.annotations?.[APPLIED_ANNOTATION] ?? '{}');
    const { hash } = record() ?? {};
    expect(stamp).toMatchObject({ revision: 1, hash, by: 'anna', manager: 'rest', owner: 'rest' });
    const template = at(deployment(), 'spec', 'template', 'metadata');
    expect(JSON.stringify(template)).not.toContain(hash);
  });

  test('writes nothing for the identical definition', async () => {
    await cluster.apply(model(), REST);
    const before = writes().length;
    expect(await cluster.apply(model(), REST)).toEqual({ revision: 1, changed: false });
    expect(writes()).toHaveLength(before);
  });

  test('changes nothing when the API server refuses the dry run', async () => {
    fake.server.intercept(({ path, query }) =>
      path.endsWith('/deployments/iris') && query.has('dryRun')
        ? failure(403, 'Forbidden', 'deployments.apps "iris" is forbidden: exceeded quota: small')
        : undefined,
    );
    const { code, message } = await refusal(cluster.apply(model(), REST));
    expect(code).toBe('INSUFFICIENT_RESOURCES');
    expect(message).toContain('Deployment/iris');
    expect(message).toContain('exceeded quota: small');
    expect(writes()).toEqual([]);
  });

  test.each([
    ['spec.minReplicas', 'Invalid value: 0: must be greater than or equal to 1', /below 1\.37/],
    ['spec.minReplicas', 'Invalid value: 9: must be less than maxReplicas', /overrides/],
    ['spec.maxReplicas', 'Invalid value: 0: must be greater than 0', /overrides/],
  ])('maps a refusal of %s (%s) to its correction', async (field, message, mend) => {
    fake.server.intercept(({ path }) =>
      path.endsWith('/horizontalpodautoscalers/iris')
        ? failure(422, 'Invalid', `${field}: ${message}`, { causes: [{ field, message }] })
        : undefined,
    );
    const refused = await refusal(cluster.apply(model(), REST));
    expect(refused.code).toBe('INVALID_MODEL_CONFIG');
    expect(refused.message).toMatch(mend);
    expect(writes()).toEqual([]);
  });

  test('reports fields of other managers with their owners, all at once', async () => {
    await cluster.apply(model(), REST);
    const editor = { manager: 'kubectl-edit' };
    store().patch(Deployment, NAMESPACE, 'iris', { spec: { minReadySeconds: 99 } }, editor);
    const error = await refusal(cluster.apply(model({ version: '2' }), REST));
    expect(error.code).toBe('FIELD_CONFLICT');
    expect(error.details).toEqual([
      { object: 'Deployment/iris', field: '.spec.minReadySeconds', manager: 'kubectl-edit' },
    ]);
    expect(record()?.revision).toBe(1);
    const forced = await cluster.apply(model({ version: '2' }), { ...REST, force: true });
    expect(forced).toEqual({ revision: 2, changed: true });
  });

  test('never changes an object of another model', async () => {
    const service = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'iris' } };
    store().create(RESOURCES.ServiceAccount, NAMESPACE, service, { manager: 'somebody' });
    const error = await refusal(cluster.apply(model(), { ...REST, force: true }));
    expect(error.code).toBe('FIELD_CONFLICT');
    expect(error.message).toContain('ServiceAccount/iris');
    expect(writes()).toEqual([]);
  });

  test('deletes the objects that a definition no longer has, and no others', async () => {
    await cluster.apply(model({ candidates: [{ version: '2', traffic: 5 }] }), REST);
    const labels = { 'ai-model.suoke.life/model': 'iris' };
    const own = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'notes', labels } };
    store().create(ConfigMap, NAMESPACE, own, { manager: 'anna' });
    await cluster.apply(model(), REST);
    expect(deployment('iris--v2')).toBeUndefined();
    expect(store().find(ConfigMap, NAMESPACE, 'notes')).toBeDefined();
  });

  test('refuses a REST definition that reaches beyond its model', async () => {
    const greedy = model({ env: { KEY: { secret: 'others-keys', key: 'k' } } });
    const { code, message } = await refusal(cluster.apply(greedy, REST));
    expect(code).toBe('INVALID_MODEL_CONFIG');
    expect(message).toContain('others-keys');
    expect(writes()).toEqual([]);
    const lax = await fake.open({ rules: { secrets: ['others-keys'] } });
    expect((await lax.apply(greedy, REST)).changed).toBe(true);
  });

  test('transfers files once: a later definition gets the bytes of the arm', async () => {
    const named = model({ source: './m.onnx' });
    await cluster.apply(withFile(named), REST);
    const wider = updateModel(named.definition, { scaling_config: { max_replicas: 3 } });
    expect(await cluster.apply(wider, REST)).toEqual({ revision: 2, changed: true });
    const files = store()
      .list(ConfigMap, NAMESPACE)
      .filter((one) => 'binaryData' in one);
    expect(files).toHaveLength(1);
  });

  test('keeps the files of revisions that a rollback may need', async () => {
    const named = model({ source: './m.onnx' });
    await cluster.apply(withFile(named), REST);
    await cluster.apply(model({ version: '2' }), REST);
    const [, first] = await cluster.history('iris');
    expect(await cluster.apply(parseModel(first?.definition), REST)).toMatchObject({ revision: 3 });
  });
});

describe('several routers', () => {
  test('that change one revision at once: one wins, and the objects are its own', async () => {
    await cluster.apply(model(), REST);
    const other = await fake.open();
    const results = await Promise.allSettled([
      cluster.apply(model({ version: '2' }), { ...REST, ifRevision: 1 }),
      other.apply(model({ version: '3' }), { ...REST, ifRevision: 1 }),
    ]);
    const lost = results.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    expect(lost.map(({ code }: ClusterError) => code)).toEqual(['REVISION_CONFLICT']);
    const { models } = await when(cluster, (seen) => seen.models.get('iris')?.revision === 2);
    const version = models.get('iris')?.spec.version;
    expect(deployment()?.metadata.labels?.['app.kubernetes.io/version']).toBe(version);
  });

  /** Another router replaces the definition in the very moment before ours would. */
  function overtake(method: string, end: string, version: string): void {
    let done = false;
    const spec = model({ version });
    const object = (objectsOf(spec, environment({ namespace: NAMESPACE })) as KubeObject[]).find(
      ({ metadata }) => metadata.name === 'iris--model',
    );
    fake.server.intercept(({ method: asked, path, query }) => {
      if (done || asked !== method || !path.endsWith(end) || query.has('dryRun')) return undefined;
      done = true;
      const stamp = { revision: 2, hash: definitionHash(spec.definition), by: 'bob', at: 1 };
      const annotations = { [APPLIED_ANNOTATION]: JSON.stringify(stamp) };
      const theirs = { ...object, metadata: { ...object?.metadata, annotations } } as KubeObject;
      store().apply(ConfigMap, NAMESPACE, theirs, { manager: 'ai-model-service', force: true });
      return undefined;
    });
  }

  test('replace a definition only while it is unchanged', async () => {
    await cluster.apply(model(), REST);
    overtake('PATCH', '/configmaps/iris--model', '3');
    const change = cluster.apply(model({ version: '2' }), { ...REST, ifRevision: 1 });
    expect((await refusal(change)).code).toBe('REVISION_CONFLICT');
    expect(JSON.stringify(holder()['data'])).toContain('\\"version\\": \\"3\\"');
    expect(deployment()?.metadata.labels?.['app.kubernetes.io/version']).toBe('1');
  });

  test('claim a name only while it is free', async () => {
    overtake('POST', '/configmaps', '3');
    const creation = cluster.apply(model(), { ...REST, create: true });
    expect((await refusal(creation)).code).toBe('MODEL_ALREADY_EXISTS');
    expect(deployment()).toBeUndefined();
  });

  test('without a condition apply one after the other', async () => {
    await cluster.apply(model(), REST);
    overtake('PATCH', '/configmaps/iris--model', '3');
    expect(await cluster.apply(model({ version: '2' }), REST)).toEqual({
      revision: 3,
      changed: true,
    });
    expect((await cluster.history('iris')).map(({ version }) => version)).toEqual(['2', '3', '1']);
  });

  test('that create a model at once: one wins', async () => {
    const other = await fake.open();
    const create = { ...REST, create: true };
    const results = await Promise.allSettled([
      cluster.apply(model(), create),
      other.apply(model({ version: '2' }), create),
    ]);
    const lost = results.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    expect(lost.map(({ code }: ClusterError) => code)).toEqual(['MODEL_ALREADY_EXISTS']);
  });

  test('without a condition both succeed, one after the other', async () => {
    const other = await fake.open();
    await Promise.all([
      cluster.apply(model({ version: '1' }), REST),
      other.apply(model({ version: '2' }), REST),
    ]);
    const history = await cluster.history('iris');
    expect(history.map(({ revision }) => revision)).toEqual([2, 1]);
    expect(deployment()?.metadata.labels?.['app.kubernetes.io/version']).toBe(history[0]?.version);
  });

  test('refuse a decision on an outdated state', async () => {
    const candidates = [{ version: '2', traffic: 5 }];
    await cluster.apply(model({ candidates }), REST);
    const hash = record()?.hash ?? '';
    const other = await fake.open();
    await when(other, ({ models }) => models.has('iris'));
    const results = await Promise.allSettled([
      cluster.setOverrides('iris', { hash, shares: { v2: 0 } }),
      other.setOverrides('iris', { hash, promote: { candidate: 'v2', phase: 'shifting' } }),
    ]);
    const lost = results.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    expect(lost.map(({ code }: ClusterError) => code)).toEqual(['REVISION_CONFLICT']);
  });
});

describe('an interrupted call', () => {
  /** The API server is gone from the moment that this is asked of it. */
  const breakAt = (method: string, end: string): void =>
    fake.server.intercept(({ method: asked, path, query }) =>
      asked === method && path.endsWith(end) && !query.has('dryRun')
        ? failure(503, 'ServiceUnavailable', 'try later')
        : undefined,
    );

  /** Each look at the world, five seconds apart, comes at once and ten seconds later. */
  function hurried(): { readonly timing: Timing; readonly ahead: () => number } {
    let ahead = 0;
    const after: Timing['after'] = (call, ms) => {
      if (ms === 5000) ahead += 10_000;
      return realTiming.after(call, ms === 5000 ? 5 : ms);
    };
    const timing = { after, now: () => Date.now() + ahead, random: () => 0 };
    return { timing, ahead: () => ahead };
  }

  test('of apply reports that its revision is stored, and a repetition finishes it', async () => {
    breakAt('PATCH', '/deployments/iris');
    const { code, message } = await refusal(cluster.apply(model(), REST));
    expect(code).toBe('CLUSTER_UNAVAILABLE');
    expect(message).toContain('revision 1 of iris is stored');
    expect(deployment()).toBeUndefined();
    fake.server.intercept(undefined);
    expect(await cluster.apply(model(), REST)).toEqual({ revision: 1, changed: false });
    await when(cluster, isReady('iris', '1'));
    expect(await cluster.history('iris')).toHaveLength(1);
  });

  test('of apply is finished by any router that sees it for long enough', async () => {
    await cluster.apply(model(), REST);
    breakAt('PATCH', '/deployments/iris');
    await refusal(cluster.apply(model({ version: '2' }), REST));
    await cluster.close();
    fake.server.intercept(undefined);
    const { timing, ahead } = hurried();
    const other = await fake.open({ timing });
    await when(other, isReady('iris', '2'));
    expect(ahead()).toBeGreaterThan(30_000);
    await other.close();
  });

  test('of a definition written past the service finishes only what REST allows', async () => {
    const env = { KEYS: { secret: 'ai-model-service-keys', key: 'x' } };
    const spec = model({ env });
    const made = objectsOf(spec, environment({ namespace: NAMESPACE })) as readonly KubeObject[];
    // Whoever may write ConfigMaps may call himself as we do.
    for (const object of made.filter(({ kind }) => kind === 'ConfigMap'))
      store().apply(ConfigMap, NAMESPACE, object, { manager: 'ai-model-service', force: false });
    await when(cluster, ({ models }) => models.has('iris'));
    const { code, message } = await refusal(cluster.apply(spec, REST));
    expect(code).toBe('INVALID_MODEL_CONFIG');
    expect(message).toContain('environment_variables.KEYS.secret');
    const { timing } = hurried();
    const told = await new Promise<string>((warn) => void fake.open({ timing, warn }));
    expect(told).toContain('environment_variables.KEYS.secret');
    expect(writes()).toEqual([]);
    expect(deployment()).toBeUndefined();
  });

  describe('a definition written past the service', () => {
    const evil = {
      env: { LD_PRELOAD: '/x' },
      overrides: { Deployment: { spec: { paused: true } } },
    };
    /** As one who may write ConfigMaps alone, and calls himself as the service does. */
    function tamper(spec: ModelSpec): void {
      const made = objectsOf(spec, environment({ namespace: NAMESPACE })) as readonly KubeObject[];
      for (const object of made.filter(({ kind }) => kind === 'ConfigMap'))
        store().apply(ConfigMap, NAMESPACE, object, { manager: 'ai-model-service', force: true });
    }
    const tampered = (more: object = evil): ModelSpec => model({ version: '2', ...more });

    test('does not count as stored: a PUT on it is refused, and null corrects it', async () => {
      await cluster.apply(model(), REST);
      tamper(tampered());
      await when(cluster, ({ models }) => models.get('iris')?.spec.version === '2');
      const put = (patch: object) => cluster.apply(updateModel(tampered().definition, patch), REST);
      for (const patch of [{ version: '3' }, { scaling_config: { max_replicas: 3 } }, {}]) {
        const { code, message } = await refusal(put(patch));
        expect(code).toBe('INVALID_MODEL_CONFIG');
        expect(message).toMatch(/environment_variables\.LD_PRELOAD(?:.|\n)*overrides/);
      }
      expect(deployment()?.['spec']).not.toHaveProperty('paused');
      await put({ environment_variables: null, overrides: null });
      // It never ran, so that there is no way back to it.
      const versions = (await cluster.history('iris')).map(({ definition }) => definition);
      expect(versions.every((one) => one['overrides'] === undefined)).toBe(true);
      expect((await refusal(cluster.apply(tampered(), REST))).code).toBe('INVALID_MODEL_CONFIG');
    });

    test('does not make its image a known one', async () => {
      const rules = { registries: ['ghcr.io'] };
      const strict = await fake.open({ rules });
      const own = (image: string) => model({ framework: 'custom', image, source: undefined });
      await strict.apply(own('ghcr.io/a/iris:1'), REST);
      tamper(own('evil.example/iris:1'));
      const again = own('evil.example/iris:1');
      expect((await refusal(strict.apply(again, REST))).code).toBe('INVALID_MODEL_CONFIG');
      await strict.close();
    });
  });

  test('applied by others with their own rights stays theirs, also when taken over', async () => {
    const spec = model({ env: { LD_PRELOAD: '/opt/jemalloc.so' } });
    kubectl(spec);
    await when(cluster, isReady('iris', '1'));
    const next = updateModel(spec.definition, { version: '2' });
    expect(await cluster.apply(next, { ...REST, force: true })).toMatchObject({ changed: true });
    const other = updateModel(spec.definition, { environment_variables: { LD_PRELOAD: '/y' } });
    expect((await refusal(cluster.apply(other, REST))).code).toBe('INVALID_MODEL_CONFIG');
  });

  test('counts as held by its revision for a rollback, and for no other definition', async () => {
    const spec = model({ env: { LD_PRELOAD: '/opt/jemalloc.so' } });
    await cluster.apply(spec, { by: 'files', manager: 'files' });
    await when(cluster, isReady('iris', '1'));
    const without = updateModel(spec.definition, { environment_variables: null });
    await cluster.apply(without, REST);
    const other = updateModel(spec.definition, { version: '5' });
    expect((await refusal(cluster.apply(other, REST))).code).toBe('INVALID_MODEL_CONFIG');
    expect(await cluster.apply(spec, REST)).toEqual({ revision: 3, changed: true });
  });

  test('is not taken over when the service may not apply the rest', async () => {
    const spec = model({ env: { DB: { secret: 'db', key: 'x' } } });
    kubectl(spec);
    // Nobody with the right to make Deployments stands for it any more.
    store().remove(Deployment, NAMESPACE, 'iris');
    await when(cluster, ({ models }) => models.get('iris')?.manager === 'kubectl');
    const asked = { ...REST, force: true };
    expect((await refusal(cluster.apply(spec, asked))).code).toBe('INVALID_MODEL_CONFIG');
    expect(writes()).toEqual([]);
    expect(record()?.manager).toBe('kubectl');
  });

  test('is in the history even if its revision was not stored', async () => {
    breakAt('POST', '/controllerrevisions');
    await refusal(cluster.apply(model(), REST));
    fake.server.intercept(undefined);
    expect(await cluster.history('iris')).toMatchObject([{ revision: 1, by: 'anna' }]);
    await cluster.apply(model({ version: '2' }), REST);
    expect(store().list(ControllerRevision, NAMESPACE)).toHaveLength(2);
    expect((await cluster.history('iris')).map(({ version }) => version)).toEqual(['2', '1']);
  });

  test.each([
    ['DELETE', '/horizontalpodautoscalers/iris'],
    ['DELETE', '/deployments/iris'],
    ['DELETE', '/serviceaccounts/iris'],
    ['DELETE', '/configmaps/iris--model'],
  ])('an interrupted removal is finished by a repetition: %s %s', async (method, end) => {
    await cluster.apply(model(), REST);
    breakAt(method, end);
    await refusal(cluster.remove('iris', REST));
    expect(holder().metadata.annotations).toHaveProperty([DELETING_ANNOTATION]);
    await when(cluster, ({ models }) => models.get('iris')?.deleting === true);
    fake.server.intercept(undefined);
    await cluster.remove('iris', REST);
    await when(cluster, ({ models }) => !models.has('iris'));
    const left = Object.values(RESOURCES).flatMap((one) => store().list(one, NAMESPACE));
    expect(left.map(kindNameOf).filter((name) => name.includes('iris'))).toEqual([]);
  });

  test('a model that is being removed refuses a new definition', async () => {
    await cluster.apply(model(), REST);
    breakAt('DELETE', '/deployments/iris');
    await refusal(cluster.remove('iris', REST));
    expect((await refusal(cluster.apply(model({ version: '2' }), REST))).code).toBe(
      'FIELD_CONFLICT',
    );
  });
});

describe('definitions applied by kubectl', () => {
  test('become models with a rising revision that is the same for every router', async () => {
    kubectl(model());
    const first = (await when(cluster, isReady('iris', '1'))).models.get('iris');
    expect(first).toMatchObject({ manager: 'kubectl' });
    const other = await fake.open();
    const seen = (await when(other, isReady('iris', '1'))).models.get('iris');
    expect(seen?.revision).toBe(first?.revision);
    kubectl(model({ version: '2' }));
    const second = (await when(cluster, isReady('iris', '2'))).models.get('iris');
    expect(second?.revision).toBeGreaterThan(first?.revision ?? Infinity);
    expect(await cluster.history('iris')).toMatchObject([{ by: 'kubectl', version: '2' }]);
  });

  test('are read-only, and the refusal contains the plan', async () => {
    kubectl(model());
    await when(cluster, ({ models }) => models.has('iris'));
    const candidates = [{ version: '2', traffic: 5 }];
    const error = await refusal(cluster.apply(model({ candidates }), REST));
    expect(error.code).toBe('READ_ONLY');
    expect(error.message).toContain('kubectl');
    expect(error.details).toContainEqual(
      expect.objectContaining({ do: 'create', object: 'Deployment/iris--v2' }),
    );
    const changed = {
      field: 'data.definition.json',
      from: expect.any(String),
      to: expect.any(String),
    };
    expect(error.details).toContainEqual(
      expect.objectContaining({
        do: 'change',
        object: 'ConfigMap/iris--model',
        changes: expect.arrayContaining([changed]) as unknown,
      }),
    );
    expect(writes()).toEqual([]);
    expect((await refusal(cluster.remove('iris', REST))).code).toBe('READ_ONLY');
  });

  test('are taken over by force with all their objects, and handed back by force', async () => {
    const candidates = [{ version: '2', traffic: 5 }];
    kubectl(model({ candidates }));
    const before = (await when(cluster, isReady('iris', '1'))).models.get('iris')?.revision ?? 0;
    const taken = await cluster.apply(model({ version: '3' }), { ...REST, force: true });
    expect(taken).toEqual({ revision: before + 1, changed: true });
    expect(record()?.manager).toBe('rest');
    expect(deployment('iris--v2')).toBeUndefined();
    const history = await cluster.history('iris');
    expect(history.map(({ by }) => by)).toEqual(['anna', 'kubectl']);
    const owners = deployment()?.metadata.managedFields?.map(({ manager }) => manager);
    expect(owners).not.toContain('kubectl');

    kubectl(model({ version: '4' }), true);
    const { models } = await when(cluster, isReady('iris', '4'));
    expect(models.get('iris')).toMatchObject({ manager: 'kubectl' });
    expect(models.get('iris')?.revision).toBeGreaterThan(taken.revision);
    expect((await refusal(cluster.apply(model(), REST))).code).toBe('READ_ONLY');
  });

  test('are handed back even when nothing changes', async () => {
    await cluster.apply(model(), REST);
    kubectl(model(), true);
    await when(cluster, ({ models }) => models.get('iris')?.manager === 'kubectl');
  });

  test('keep their files when another manager takes them over', async () => {
    const named = model({ source: './m.onnx' });
    kubectl(withFile(named));
    await when(cluster, isReady('iris', '1'));
    const wider = updateModel(named.definition, { scaling_config: { max_replicas: 3 } });
    expect(await cluster.apply(wider, { ...REST, force: true })).toMatchObject({ changed: true });
  });

  test('that are invalid affect no other model, and the last good one holds', async () => {
    kubectl(model());
    kubectl(model({ id: 'other' }));
    await when(
      cluster,
      ({ models }) => isReady('iris', '1')({ models } as never) && models.size === 2,
    );
    const broken = { data: { 'definition.json': '{"model_id":"iris"' } };
    store().patch(ConfigMap, NAMESPACE, 'iris--model', broken, { manager: 'kubectl-edit' });
    kubectl(model({ id: 'other', version: '2' }));
    const { models } = await when(cluster, isReady('other', '2'));
    expect(models.get('iris')?.spec.version).toBe('1');
    expect(fake.told.join()).toMatch(/ConfigMap models\/iris--model holds no definition/);
    const error = await refusal(cluster.apply(model({ version: '3' }), REST));
    expect(error.code).toBe('READ_ONLY');
    expect(error.message).toContain('kubectl-edit');
    const forced = await cluster.apply(model({ version: '3' }), { ...REST, force: true });
    expect(forced.changed).toBe(true);
    await when(cluster, isReady('iris', '3'));
  });
});

describe('gitops mode', () => {
  beforeEach(async () => {
    kubectl(model({ candidates: [{ version: '2', traffic: 50 }] }));
    cluster = await fake.open({ mode: 'gitops' });
    await when(cluster, isReady('iris', '1'));
  });

  test('refuses every change with its plan, and writes only overrides', async () => {
    const force = { ...REST, force: true };
    const error = await refusal(cluster.apply(model({ version: '3' }), force));
    expect(error.code).toBe('READ_ONLY');
    expect(error.details).not.toHaveLength(0);
    const creation = await refusal(cluster.apply(model({ id: 'new' }), REST));
    expect(creation.message).toContain('kubernetes.mode: gitops');
    expect((await refusal(cluster.remove('iris', { ...force, manager: 'kubectl' }))).code).toBe(
      'READ_ONLY',
    );
    expect(writes()).toEqual([]);
  });

  test('stores an abort, which ends with the next definition', async () => {
    const hash = record()?.hash ?? '';
    await cluster.setOverrides('iris', { hash, shares: { v2: 0 } });
    expect(record()?.state).toEqual({ hash, shares: { v2: 0 } });
    expect(writes()).toEqual([`POST models/configmaps`]);
    kubectl(model({ version: '3' }));
    const { models } = await when(cluster, isReady('iris', '3'));
    expect(models.get('iris')?.state).toBeUndefined();
  });

  test('reads no history, which Git has', async () => {
    expect(await cluster.history('iris')).toHaveLength(1);
    const asked = fake.server.seen.filter(({ path }) => path.includes('controllerrevisions'));
    expect(asked).toEqual([]);
  });
});

describe('stopping a model', () => {
  const scaling = { minReplicas: 2, maxReplicas: 4 };
  const candidates = [{ version: '2', traffic: 5 }];
  const hashOf = (more: object) => definitionHash(model(more).definition);

  test('scales every arm to zero, and starting restores its minimum', async () => {
    await cluster.apply(model({ scaling, candidates }), REST);
    await when(cluster, isReady('iris', '1', 2));
    const hash = hashOf({ scaling, candidates });
    await cluster.setOverrides('iris', { hash, stopped: true });
    expect([replicas(), replicas('iris--v2')]).toEqual([0, 0]);
    await when(cluster, isReady('iris', '1', 0));
    await cluster.setOverrides('iris', undefined);
    await when(cluster, isReady('iris', '1', 2));
    expect(replicas('iris--v2')).toBeGreaterThan(0);
    expect(store().get(ConfigMap, NAMESPACE, OVERRIDES_CONFIGMAP)['data'] ?? {}).toEqual({});
  });

  test('with its revision leaves the definition without replicas', async () => {
    await cluster.apply(model(), { ...REST, state: { stopped: true } });
    await when(cluster, isReady('iris', '1', 0));
    await cluster.apply(model({ version: '2' }), { ...REST, state: { stopped: true } });
    await when(cluster, isReady('iris', '2', 0));
    await cluster.apply(model({ version: '3' }), REST);
    await when(cluster, isReady('iris', '3', 1));
  });

  test('does not prevent its removal', async () => {
    await cluster.apply(model(), { ...REST, state: { stopped: true } });
    await when(cluster, isReady('iris', '1', 0));
    await cluster.remove('iris', REST);
    expect(now(cluster).models.size).toBe(0);
    expect(store().get(ConfigMap, NAMESPACE, OVERRIDES_CONFIGMAP)['data'] ?? {}).toEqual({});
  });

  test('writes only its key of the shared overrides object', async () => {
    await cluster.apply(model(), REST);
    await cluster.apply(model({ id: 'other' }), REST);
    await Promise.all(
      ['iris', 'other'].map((id) =>
        cluster.setOverrides(id, { hash: record(id)?.hash ?? '', stopped: true }),
      ),
    );
    expect(
      Object.keys(store().get(ConfigMap, NAMESPACE, OVERRIDES_CONFIGMAP)['data'] as object).sort(),
    ).toEqual(['iris', 'other']);
  });
});

describe('the view of the cluster', () => {
  test('keeps the objects of models that did not change', async () => {
    await cluster.apply(model(), REST);
    await cluster.apply(model({ id: 'other' }), REST);
    await when(cluster, isReady('iris', '1'));
    const before = await when(cluster, isReady('other', '1'));
    await cluster.apply(model({ version: '2' }), REST);
    const after = await when(cluster, isReady('iris', '2'));
    expect(after.models.get('other')).toBe(before.models.get('other'));
  });

  test('stays in use, as stale, while the API server is away', async () => {
    await cluster.apply(model(), REST);
    const before = await when(cluster, isReady('iris', '1'));
    await fake.server.stop();
    const stale = await when(cluster, ({ phase }) => phase === 'stale');
    expect(stale.models.get('iris')).toBe(before.models.get('iris'));
    expect((await refusal(cluster.apply(model({ version: '2' }), REST))).code).toBe(
      'CLUSTER_UNAVAILABLE',
    );
    await fake.server.start();
    await when(cluster, ({ phase }) => phase === 'synced');
  });

  test('takes a model of two namespaces from the first', async () => {
    kubectl(model());
    const elsewhere = objectsOf(model({ version: '9' }), environment({ namespace: 'more' }));
    for (const object of elsewhere as readonly KubeObject[])
      store().apply(resourceOf(object), 'more', object, { manager: 'kubectl' });
    const both = await fake.open({ namespaces: ['more'] });
    const { models } = await when(both, ({ phase }) => phase === 'synced');
    expect([...models].map(([, { spec }]) => spec.version)).toEqual(['1']);
    expect(fake.told.join()).toContain('model iris in namespace more is not served');
  });
});
