import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../../../cli/program';
import { objectsOf } from '../../../lib/objects';
import type { Plan } from '../../../lib/plan/schema';
import { parseEnvironment, parseModel } from '../../../lib/spec';
import type { KubeObject } from '../../../runtime/cluster/kubernetes/client/api';
import { RESOURCES, resourceOf } from '../../../runtime/cluster/kubernetes/client/resources';
import { failure, stopApiServers } from '../../support/apiserver';
import type { Fake } from './fake';
import { startFake } from './fake';

// `plan --live`: definitions of a folder, and an API server that applies with owners of fields.

// The first test of a file waits until jest has transformed client-node.
jest.setTimeout(60_000);

const NAMESPACE = 'models';
const { HorizontalPodAutoscaler, Deployment } = RESOURCES;
const DEFINITION = { id: 'iris', version: '1', framework: 'sklearn', source: 's3://m/iris' };

let fake: Fake;
let folder: string;
const home = process.cwd();
beforeEach(async () => {
  fake = await startFake();
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'live-')));
  process.chdir(folder);
  mkdirSync(join(folder, 'models'));
  writeFileSync(join(folder, 'environments.json'), JSON.stringify({ namespace: NAMESPACE }));
});
afterEach(async () => {
  process.chdir(home);
  rmSync(folder, { recursive: true });
  await fake.end();
  await stopApiServers();
});

function write(more: object = {}): void {
  writeFileSync(join(folder, 'models/iris.json'), JSON.stringify({ ...DEFINITION, ...more }));
}

/** As Argo CD applies the manifests of a definition. */
function applied(more: object = {}): void {
  const environment = parseEnvironment({ namespace: NAMESPACE });
  const objects = objectsOf(parseModel({ ...DEFINITION, ...more }), environment);
  for (const object of objects as readonly KubeObject[]) {
    const options = { manager: 'argocd-controller', force: true };
    fake.server.store.apply(resourceOf(object), NAMESPACE, object, options);
  }
}

async function live(): Promise<{ readonly code: number; readonly plan: Plan }> {
  let out = '';
  const code = await runCommand(
    ['plan', '--live', '--kubeconfig', fake.server.kubeconfig(), '--format', 'json'],
    {
      out: (text) => (out += text),
      err: (text) => (out += text),
      env: {},
      cwd: folder,
      terminal: false,
      now: () => new Date('2026-06-01T00:00:00Z'),
    },
  );
  return { code, plan: JSON.parse(out) as Plan };
}

test('what runs as it is defined has no effect, whatever others have set', async () => {
  applied();
  write();
  const found = fake.server.store.get(Deployment, NAMESPACE, 'iris');
  const { apiVersion, kind } = found;
  const change = { apiVersion, kind, metadata: { name: 'iris' }, spec: { replicas: 7 } };
  fake.server.store.apply(resourceOf(found), NAMESPACE, change as KubeObject, {
    manager: 'autoscaler',
    force: true,
  });
  const { code, plan } = await live();
  expect([code, plan.models, plan.notes]).toEqual([0, [], []]);
});

test('a change is said with its risks, and nothing is written', async () => {
  applied({ scaling: { minReplicas: 2, maxReplicas: 4 } });
  write({ scaling: { minReplicas: 1, maxReplicas: 4 } });
  const { plan } = await live();
  const [model] = plan.models;
  expect(model?.risks.map(({ rule }) => rule)).toEqual(['redundancy-lost']);
  expect(model?.restarts).toEqual([]);
  const autoscaler = model?.objects.find(({ kind }) => kind === 'HorizontalPodAutoscaler');
  expect(autoscaler?.fields).toEqual([{ path: 'spec.minReplicas', before: '2', after: '1' }]);
  const written = fake.server.seen.filter(
    ({ method, query }) => method !== 'GET' && !query.has('dryRun'),
  );
  expect(written).toEqual([]);
});

test('drift of a field that the definition sets is a change', async () => {
  applied();
  write();
  const found = fake.server.store.get(HorizontalPodAutoscaler, NAMESPACE, 'iris');
  const { apiVersion, kind } = found;
  const edit = { apiVersion, kind, metadata: { name: 'iris' }, spec: { maxReplicas: 9 } };
  const options = { manager: 'kubectl-edit', force: true };
  fake.server.store.apply(resourceOf(found), NAMESPACE, edit as KubeObject, options);
  const { plan } = await live();
  expect(plan.models[0]?.objects).toEqual([
    expect.objectContaining({
      kind: 'HorizontalPodAutoscaler',
      fields: [{ path: 'spec.maxReplicas', before: '9', after: '1' }],
    }),
  ]);
});

test('a model that is not there yet is new, and what the API server refuses fails the plan', async () => {
  write();
  expect((await live()).plan.models.map(({ action }) => action)).toEqual(['create']);
  fake.server.intercept(({ path, query }) =>
    query.has('dryRun') && path.includes('/deployments/')
      ? failure(422, 'Invalid', 'spec.template: Invalid value')
      : undefined,
  );
  const { code, plan } = await live();
  expect(code).toBe(1);
  expect(plan.findings).toMatchObject([{ rule: 'refused-by-cluster', model: 'iris' }]);
});
