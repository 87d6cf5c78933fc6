import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Testing } from 'cdk8s';
import { Secret } from 'cdk8s-plus-28';
import type { ModelServiceProps } from '../../lib/constructs';
import { ModelService } from '../../lib/constructs';
import { objectsOf } from '../../lib/objects';
import { parseEnvironment, parseModel } from '../../lib/spec';
import { openKubernetes } from '../../runtime/cluster/kubernetes/client/client';
import { realTiming } from '../../runtime/cluster/kubernetes/client/timing';
import { probeScaleToZero } from '../../runtime/cluster/kubernetes/scale/scale-to-zero';
import type { Listener } from '../../runtime/shared/listen';
import type { KubernetesRoutersOptions, OpenRouters } from '../../runtime/app/open-routers';
import { startRouters } from '../../runtime/app/open-routers';
import { environment } from '../cluster/kubernetes/fake';
import type { Fleet } from '../control/fleet';
import { startFleet } from '../control/fleet';
import { T0 } from '../control/support';
import { statsOf } from '../metrics/support';
import { createAuthority } from '../support/certificates';
import type { Manifest } from '../support/manifests';
import { admitted, askKubectl, kubectl } from './kubectl';
import { until } from './service';

// Routers against a real API server, let in as the service's own account with the rights we render:
// the lease, the pods, and external metrics by way of the real aggregation layer and autoscaler.

const { KUBECONFIG } = process.env;
const NS = `routers-${process.pid.toString(36)}`;
const METRICS = 'ai-model-service-metrics';

let configPath: string;
const open: OpenRouters[] = [];

const inside = (...args: readonly string[]): string => kubectl([...args, '-n', NS]);

function apply(...items: readonly object[]): void {
  const list = { apiVersion: 'v1', kind: 'List', items };
  kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], JSON.stringify(list));
}

/** Everything of the service but what would run it. */
function rendered(props: ModelServiceProps = {}): readonly Manifest[] {
  const chart = Testing.chart();
  // oxlint-disable-next-line no-new
  new ModelService(chart, 'service', {
    environment: { namespace: NS },
    config: { auth: { mode: 'none' } },
    ...props,
  });
  const runs = new Set(['Deployment', 'HorizontalPodAutoscaler', 'PodDisruptionBudget']);
  return (Testing.synth(chart) as Manifest[]).filter(({ kind }) => !runs.has(kind));
}

async function start(
  self: string,
  more: Partial<KubernetesRoutersOptions> = {},
): Promise<OpenRouters> {
  const { api } = await openKubernetes({ configPath });
  const tell = (message: string, fields?: object): void => console.warn(self, message, fields);
  const routers = startRouters({
    api,
    namespace: NS,
    modelNamespace: NS,
    self,
    host: '127.0.0.1',
    opsPort: 9090,
    externalMetrics: undefined,
    rendersZero: false,
    timing: realTiming,
    steady: () => performance.now(),
    fetch,
    log: { info: () => undefined, warn: tell, error: tell },
    ...more,
  });
  open.push(routers);
  return routers;
}

const pod = (name: string): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: NS, labels: { app: 'ai-model-service' } },
  spec: {
    containers: [{ name: 'service', image: 'x', ports: [{ name: 'ops', containerPort: 9 }] }],
  },
});

function againstACluster(): void {
  beforeAll(async () => {
    kubectl(['create', 'namespace', NS]);
    apply(...rendered());
    configPath = admitted(NS);
  });
  afterAll(() => kubectl(['delete', 'namespace', NS, '--wait=false']));
  afterEach(async () => {
    await Promise.all(open.splice(0).map((one) => one.close()));
  });

  test('with the rendered rights one of two routers leads, and releases the rendered lease', async () => {
    const [a, b] = [await start('a'), await start('b')];
    const leading = (): readonly OpenRouters[] =>
      [a, b].filter(({ routers }) => routers.isLeader());
    await until('one to lead', leading, ({ length }) => length === 1);
    const [first] = leading();
    const holder = (): string =>
      inside('get', 'lease', 'ai-model-service', '-o', 'jsonpath={.spec.holderIdentity}');
    expect(holder()).toMatch(new RegExp(`^${first?.routers.self}_`));
    await first?.close();
    await until('the other to lead', leading, ({ length }) => length === 1, 10_000);
    expect(leading()[0]).not.toBe(first);
  });

  test('pods of the service are found and counted as they start and stop', async () => {
    const { routers, ready } = await start('a');
    await ready();
    expect([routers.count(), routers.others()]).toEqual([1, []]);
    apply(pod('b'), pod('c'));
    await until('both to be ready', routers.count, (count) => count === 3);
    inside('delete', 'pod', 'b', '--wait=false');
    await until('one to be gone', routers.count, (count) => count === 2, 60_000);
  });

  test("the result for minReplicas 0 is the API server's answer to kubectl", async () => {
    const { api } = await openKubernetes({ configPath });
    const autoscaler = {
      apiVersion: 'autoscaling/v2',
      kind: 'HorizontalPodAutoscaler',
      metadata: { name: 'zero', namespace: NS },
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'x' },
        minReplicas: 0,
        maxReplicas: 1,
        metrics: [
          {
            type: 'External',
            external: {
              metric: { name: 'm' },
              target: { type: 'AverageValue', averageValue: '1' },
            },
          },
        ],
      },
    };
    let expected = 'allowed';
    try {
      kubectl(['create', '--dry-run=server', '-f', '-'], JSON.stringify(autoscaler));
    } catch (error) {
      expected = /minReplicas/.test(String(error)) ? 'refused' : 'another error';
    }
    expect(await probeScaleToZero(api, NS)).toBe(expected);
    api.close();
  });

  describe('external metrics over a real API server', () => {
    let fleet: Fleet;
    let listener: Listener | undefined;

    beforeAll(async () => {
      const authority = createAuthority('serving');
      const { cert, key } = authority.issue('x', `${METRICS}.${NS}.svc`);
      const [certFile, keyFile] = ['crt', 'key'].map((end) => join(tmpdir(), `${NS}.${end}`));
      if (certFile === undefined || keyFile === undefined) throw new Error('two files');
      writeFileSync(certFile, cert);
      writeFileSync(keyFile, key, { mode: 0o600 });
      const tls = Secret.fromSecretName(Testing.chart(), 'tls', 'x');
      const all = rendered({ externalMetrics: { tls, ca: authority.cert } });
      const served = new Set(['Service', 'APIService']);
      apply(...all.filter(({ kind }) => !served.has(kind)));
      const more = { environment: parseEnvironment({ namespace: NS }) };
      fleet = await startFleet(['a'], { more: () => more });
      const spec = parseModel({
        id: 'iris',
        version: '1',
        framework: 'onnx',
        source: 's3://m/iris.onnx',
        scaling: { minReplicas: 1, maxReplicas: 5, targetConcurrency: 4 },
      });
      await fleet.cluster.apply(spec, { by: 'test', manager: 'rest' });
      const { openMetrics } = await start('a', {
        externalMetrics: { port: 0, cert: certFile, key: keyFile },
      });
      const control = fleet.routers[0]?.control;
      if (control === undefined) throw new Error('one router');
      [listener] = await openMetrics(control);
      // To the API server this process is localhost; pods of a real service have a Service.
      apply(
        {
          apiVersion: 'v1',
          kind: 'Service',
          metadata: { name: METRICS, namespace: NS },
          spec: { type: 'ExternalName', externalName: 'localhost' },
        },
        ...all
          .filter(({ kind }) => kind === 'APIService')
          .map((one) => {
            const { service, ...rest } = one['spec'] as { service: object };
            return { ...one, spec: { ...rest, service: { ...service, port: listener?.port } } };
          }),
      );
      apply(
        ...objectsOf(spec, environment({ namespace: NS })).filter(({ kind }) =>
          ['Deployment', 'HorizontalPodAutoscaler', 'ServiceAccount'].includes(kind),
        ),
      );
    });
    afterAll(async () => {
      await listener?.close(0);
      fleet.close();
      kubectl(['delete', 'apiservice', 'v1beta1.external.metrics.k8s.io']);
      for (const name of [METRICS, `${METRICS}-reader`])
        kubectl(['delete', 'clusterrole,clusterrolebinding', name]);
      kubectl(['delete', 'rolebinding', METRICS, '-n', 'kube-system']);
    });

    test('are available through it, and scale a model by the load of its routers', async () => {
      const available = (): Promise<string> =>
        askKubectl(
          'get',
          'apiservice',
          'v1beta1.external.metrics.k8s.io',
          '-o',
          'jsonpath={.status.conditions[?(@.type=="Available")].status}',
        );
      await until('the APIService', available, (status) => status === 'True', 60_000);
      fleet.routers[0]?.stats.push(statsOf('iris', { inFlight: 9, queued: 3, lastRequestAt: T0 }));
      const path = `/apis/external.metrics.k8s.io/v1beta1/namespaces/${NS}/ai_model_concurrency`;
      const list = JSON.parse(await askKubectl('get', '--raw', path)) as {
        items: { value: string }[];
      };
      expect(list.items.map(({ value }) => value)).toEqual(['12']);
      const replicas = (): Promise<string> =>
        askKubectl('get', 'deployment', 'iris', '-n', NS, '-o', 'jsonpath={.spec.replicas}');
      // 12 requests, 4 a replica.
      await until('three replicas', replicas, (count) => count === '3', 90_000);
    });
  });
}

if (KUBECONFIG === undefined) {
  test.skip('routers: set KUBECONFIG to run against a real API server', () => undefined);
} else {
  describe('routers over a real API server', againstACluster);
}
