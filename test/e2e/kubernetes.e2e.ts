import type { ServiceMode } from '../../lib/constructs/service-rules';
import { objectsOf } from '../../lib/objects';
import type { ModelSpec } from '../../lib/spec';
import { parseModel } from '../../lib/spec';
import { createKubernetesCluster } from '../../runtime/cluster/kubernetes';
import type { Cluster } from '../../runtime/cluster/port';
import { ClusterError } from '../../runtime/cluster/port';
import { clusterConformance, isReady, now, when } from '../cluster/conformance';
import { bringingFiles, environment } from '../cluster/kubernetes/fake';
import { admitted, kubectl } from './kubectl';
import { roleObjects } from './rights';
import { until } from './service';

// Against a real API server with the controllers of Kubernetes; nodes may be fake. The service is
// let in as its own account, with exactly the Role that we render.

const { KUBECONFIG } = process.env;
const NAMESPACES = `e2e-${process.pid.toString(36)}`;
let count = 0;

interface Place {
  readonly namespace: string;
  readonly configPath: string;
}

function place(mode: ServiceMode = 'rest'): Place {
  count += 1;
  const namespace = `${NAMESPACES}-${count}`;
  kubectl(['create', 'namespace', namespace]);
  kubectl(['apply', '--server-side', '-f', '-'], JSON.stringify(roleObjects(namespace, mode)));
  return { namespace, configPath: admitted(namespace) };
}

function open({ configPath }: Place, mode: ServiceMode = 'rest'): Promise<Cluster> {
  const warn = (message: string): void => console.warn(message);
  return createKubernetesCluster({ configPath, mode, environment: environment(), warn });
}

const model = (more: object = {}): ModelSpec =>
  parseModel({ id: 'iris', version: '1', framework: 'onnx', source: 's3://m/iris.onnx', ...more });

const REST = { by: 'tester', manager: 'rest' };
const ONE_CANDIDATE = { candidates: [{ version: '2', traffic: 50 }] };

async function refused(work: Promise<unknown>): Promise<ClusterError> {
  const error = await work.then(
    () => new Error('it was done'),
    (reason: unknown) => reason,
  );
  if (error instanceof ClusterError) return error;
  throw error;
}

function beyondConformance(): void {
  let here: Place;
  const opened: Cluster[] = [];
  const enter = async (mode: ServiceMode = 'rest'): Promise<Cluster> => {
    here = place(mode);
    return again(mode);
  };
  const again = async (mode: ServiceMode = 'rest'): Promise<Cluster> => {
    const cluster = await open(here, mode);
    opened.push(cluster);
    await when(cluster, ({ phase }) => phase === 'synced');
    return cluster;
  };
  const inside = (...args: readonly string[]): string => kubectl([...args, '-n', here.namespace]);
  /** As a pipeline does it. */
  const applied = (spec: ModelSpec, ...more: readonly string[]): void => {
    const items = objectsOf(spec, environment({ namespace: here.namespace }));
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
    kubectl(['apply', '--server-side', ...more, '-f', '-'], list);
  };
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((cluster) => cluster.close()));
    kubectl(['delete', 'namespace', here.namespace, '--wait=false']);
  });

  test('a model of kubectl is taken over with all its objects, and handed back', async () => {
    const cluster = await enter();
    applied(model(ONE_CANDIDATE));
    const seen = await when(cluster, isReady('iris', '1'));
    expect(seen.models.get('iris')?.manager).toBe('kubectl');
    const readOnly = await refused(cluster.apply(model({ version: '3' }), REST));
    expect(readOnly.code).toBe('READ_ONLY');
    expect(readOnly.details).toContainEqual({ do: 'remove', object: 'Deployment/iris--v2' });

    const taken = await cluster.apply(model({ version: '3' }), { ...REST, force: true });
    expect(taken.revision).toBe((seen.models.get('iris')?.revision ?? 0) + 1);
    expect(inside('get', 'deployments', '-o', 'name').trim()).toBe('deployment.apps/iris');
    const managers = inside(
      'get',
      'deployment',
      'iris',
      '-o',
      'jsonpath={.metadata.managedFields[*].manager}',
      '--show-managed-fields',
    );
    expect(managers.split(' ')).not.toContain('kubectl');
    expect((await cluster.history('iris')).map(({ by }) => by)).toEqual(['tester', 'kubectl']);

    applied(model({ version: '3' }), '--force-conflicts');
    await when(cluster, ({ models }) => models.get('iris')?.manager === 'kubectl');
    expect((await refused(cluster.apply(model({ version: '4' }), REST))).code).toBe('READ_ONLY');
    applied(model({ version: '4' }), '--force-conflicts');
    const back = await when(cluster, isReady('iris', '4'));
    expect(back.models.get('iris')?.revision).toBeGreaterThan(taken.revision);
  });

  test('fields that another manager edited are reported with their owner', async () => {
    const cluster = await enter();
    await cluster.apply(model(), REST);
    inside('patch', 'deployment', 'iris', '-p', '{"spec":{"minReadySeconds":99}}');
    const { code, details } = await refused(cluster.apply(model({ version: '2' }), REST));
    expect(code).toBe('FIELD_CONFLICT');
    expect(details).toEqual([
      { object: 'Deployment/iris', field: '.spec.minReadySeconds', manager: 'kubectl-patch' },
    ]);
  });

  test('of two routers that change a revision at once one wins', async () => {
    const cluster = await enter();
    const other = await again();
    await cluster.apply(model(), REST);
    const results = await Promise.allSettled(
      [cluster, other].map((one, index) =>
        one.apply(model({ version: String(index + 2) }), { ...REST, ifRevision: 1 }),
      ),
    );
    const lost = results.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    expect(lost.map(({ code }: ClusterError) => code)).toEqual(['REVISION_CONFLICT']);
    const { models } = await when(cluster, ({ models: all }) => all.get('iris')?.revision === 2);
    await when(cluster, isReady('iris', models.get('iris')?.spec.version ?? ''));
  });

  test('a stopped model stays at zero beside its autoscaler, and returns to its minimum', async () => {
    const cluster = await enter();
    const scaling = { minReplicas: 2, maxReplicas: 4 };
    await cluster.apply(model({ scaling }), REST);
    await when(cluster, isReady('iris', '1', 2));
    const { hash } = now(cluster).models.get('iris') ?? { hash: '' };
    await cluster.setOverrides('iris', { hash, stopped: true });
    await when(cluster, isReady('iris', '1', 0));
    const disabled = '{.status.conditions[?(@.type=="ScalingActive")].reason}';
    await until(
      'the autoscaler stands aside',
      () => inside('get', 'hpa', 'iris', '-o', `jsonpath=${disabled}`),
      (reason) => reason === 'ScalingDisabled',
    );
    expect(now(cluster).models.get('iris')?.arms[0]).toMatchObject({ desired: 0, current: 0 });
    await cluster.setOverrides('iris', undefined);
    await when(cluster, isReady('iris', '1', 2));
  });

  test('a quota on objects is reported, and nothing was changed', async () => {
    const cluster = await enter();
    inside('create', 'quota', 'none', '--hard=count/deployments.apps=0');
    await until(
      'the quota holds',
      () => inside('get', 'quota', 'none', '-o', 'jsonpath={.status.hard}'),
      (hard) => hard !== '',
    );
    const { code, message } = await refused(cluster.apply(model(), REST));
    expect(code).toBe('INSUFFICIENT_RESOURCES');
    expect(message).toContain('exceeded quota: none');
    expect(inside('get', 'serviceaccount,configmap', '-o', 'name')).not.toContain('iris');
  });

  test('with the Role of gitops mode the service can stop and abort, and nothing else', async () => {
    const cluster = await enter('gitops');
    applied(model(ONE_CANDIDATE));
    await when(cluster, isReady('iris', '1'));
    const force = { ...REST, force: true };
    expect((await refused(cluster.apply(model({ version: '3' }), force))).code).toBe('READ_ONLY');
    expect((await refused(cluster.remove('iris', REST))).code).toBe('READ_ONLY');
    const { hash } = now(cluster).models.get('iris') ?? { hash: '' };
    await cluster.setOverrides('iris', { hash, shares: { v2: 0 } });
    await cluster.setOverrides('iris', { hash, shares: { v2: 0 }, stopped: true });
    await when(cluster, isReady('iris', '1', 0));
    await cluster.setOverrides('iris', undefined);
    await when(cluster, isReady('iris', '1'));
    expect(await cluster.history('iris')).toHaveLength(1);
    expect(
      inside(
        'auth',
        'can-i',
        '--list',
        '--as',
        `system:serviceaccount:${here.namespace}:ai-model-service`,
      ),
    ).not.toContain('delete');
  });
}

if (KUBECONFIG === undefined) {
  test.skip('kubernetes: set KUBECONFIG to run against a real API server', () => undefined);
} else {
  clusterConformance('kubernetes over a real API server', async () => {
    const here = place();
    const cluster = await open(here);
    const end = async (): Promise<void> => {
      await cluster.close();
      kubectl(['delete', 'namespace', here.namespace, '--wait=false']);
    };
    return { cluster: bringingFiles(cluster), end };
  });
  describe('kubernetes over a real API server', beyondConformance);
}
