import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseModel } from '../../lib/spec';
import { objectsOf } from '../../lib/objects';
import { parseEnvironment } from '../../lib/spec';
import type { FrontProxyTrust } from '../../runtime/app/external-metrics-server';
import { listenForExternalMetrics } from '../../runtime/app/external-metrics-server';
import type { Listener } from '../../runtime/shared/listen';
import type { Fleet, Router } from '../control/fleet';
import { startFleet } from '../control/fleet';
import { iris, T0, withCandidate } from '../control/support';
import { statsOf } from '../metrics/support';
import type { Authority, Certificate } from '../support/certificates';
import { createAuthority } from '../support/certificates';
import { at } from '../support/manifests';
import { until } from '../support/plane';

// The aggregated API as an API server calls it: HTTPS, with its own client certificate.

const V1 = '/apis/external.metrics.k8s.io/v1beta1';
const VALUES = `${V1}/namespaces/ai-models`;
const FRONT_PROXY = 'front-proxy-client';

let serving: Authority;
let frontProxy: Authority;
let client: Certificate;
let folder: string;
let fleet: Fleet;
let listener: Listener;
let trust: FrontProxyTrust;
let told: string[];
let refresh: () => void;

const file = (name: string): string => join(folder, name);

function writeServing(authority: Authority): void {
  const { cert, key } = authority.issue();
  writeFileSync(file('tls.crt'), cert);
  writeFileSync(file('tls.key'), key);
}

const open = () =>
  listenForExternalMetrics({
    host: '127.0.0.1',
    port: 0,
    cert: file('tls.crt'),
    key: file('tls.key'),
    trust: () => Promise.resolve(trust),
    handle: router('a').control.externalMetrics,
    warn: (message) => told.push(message),
    after: (again) => {
      refresh = again;
      return () => undefined;
    },
  });

beforeEach(async () => {
  serving = createAuthority('serving');
  frontProxy = createAuthority('front proxy');
  client = frontProxy.issue(FRONT_PROXY);
  folder = mkdtempSync(join(tmpdir(), 'metrics-'));
  writeServing(serving);
  told = [];
  trust = { ca: frontProxy.cert, names: [FRONT_PROXY] };
  fleet = await startFleet(['a', 'b', 'c']);
  await fleet.cluster.apply(parseModel(withCandidate()), { by: 'test', manager: 'rest' });
  await fleet.second(2);
  listener = await open();
});
afterEach(async () => {
  await listener.close(0);
  fleet.close();
  rmSync(folder, { recursive: true });
});

function router(name: string): Router {
  const found = fleet.routers.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no router ${name}`);
  return found;
}

interface Got {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Record<string, unknown>;
}

/** Every call makes a connection of its own. */
function call(path: string, as: Partial<Certificate> = client, method = 'GET'): Promise<Got> {
  const { port } = listener;
  const options = { host: '127.0.0.1', port, path, method, ca: serving.cert, agent: false, ...as };
  return new Promise((resolve, reject) => {
    const sent = request(options, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => (text += chunk));
      answer.on('error', reject);
      answer.on('end', () => {
        const { statusCode: status = 0, headers } = answer;
        const body = (text === '' ? {} : JSON.parse(text)) as Got['body'];
        resolve({ status, headers, body });
      });
    });
    sent.on('error', reject);
    sent.end();
  });
}

const selected = (metric: string, selector: string): Promise<Got> =>
  call(`${VALUES}/${metric}?labelSelector=${encodeURIComponent(selector)}`);

const valuesOf = ({ body }: Got): readonly string[] =>
  (body['items'] as { value: string }[]).map(({ value }) => value);

function use(name: string, inFlight: number, queued = 0, arm = 'stable'): void {
  const { stats } = router(name);
  stats.splice(0, Infinity, statsOf('iris', { arm, inFlight, queued, lastRequestAt: T0 }));
}

describe('callers of external metrics', () => {
  test('include the API server by its certificate', async () => {
    expect((await call(V1)).status).toBe(200);
  });

  test.each<[string, () => Partial<Certificate>, number]>([
    ['no certificate', () => ({}), 401],
    [
      'a certificate of another authority',
      () => createAuthority('front proxy').issue(FRONT_PROXY),
      401,
    ],
    [
      'a certificate of the authority of the serving certificate',
      () => serving.issue(FRONT_PROXY),
      401,
    ],
    ['a certificate with another name', () => frontProxy.issue('kubelet'), 403],
  ])('are refused without one: %s', async (_, as, status) => {
    const { status: got, body } = await call(`${VALUES}/ai_model_concurrency`, as());
    expect(got).toBe(status);
    expect(body).toMatchObject({ kind: 'Status', status: 'Failure', code: status });
    expect(body['items']).toBeUndefined();
  });

  test('include every certificate of the authority when no names are given', async () => {
    trust = { ca: frontProxy.cert, names: [] };
    await listener.close(0);
    listener = await open();
    expect((await call(V1, frontProxy.issue('any'))).status).toBe(200);
    expect((await call(V1, {})).status).toBe(401);
  });

  test('follow a new authority and certificate without a restart', async () => {
    const [oldServing, newFront] = [serving, createAuthority('front proxy')];
    serving = createAuthority('serving');
    writeServing(serving);
    trust = { ca: newFront.cert, names: [FRONT_PROXY] };
    refresh();
    const isNew = async (): Promise<boolean> =>
      call(V1, newFront.issue(FRONT_PROXY)).then(
        ({ status }) => status === 200,
        () => false,
      );
    while (!(await isNew()));
    expect((await call(V1)).status).toBe(401);
    serving = oldServing;
    await expect(call(V1)).rejects.toThrow(/certificate/);
  });

  test('stay the same when the new certificate cannot be read', async () => {
    rmSync(file('tls.crt'));
    refresh();
    await until(() => told.length === 1, 'the complaint');
    expect((await call(V1)).status).toBe(200);
  });
});

describe('discovery of external metrics', () => {
  test('lists the group and its metrics', async () => {
    expect((await call('/apis/external.metrics.k8s.io')).body).toMatchObject({
      kind: 'APIGroup',
      name: 'external.metrics.k8s.io',
      preferredVersion: { version: 'v1beta1' },
    });
    const { body } = await call(V1);
    expect(body).toMatchObject({
      kind: 'APIResourceList',
      groupVersion: 'external.metrics.k8s.io/v1beta1',
    });
    expect((body['resources'] as { name: string }[]).map(({ name }) => name)).toEqual([
      'ai_model_concurrency',
      'ai_model_queue_depth',
    ]);
  });

  test.each([
    ['/apis', 'GET', 404],
    [`${VALUES}/other_metric`, 'GET', 404],
    [`${VALUES}/ai_model_concurrency`, 'POST', 405],
    [`${VALUES}/ai_model_concurrency?labelSelector=a%3E1`, 'GET', 400],
    [`${V1}/namespaces/%E0%A4%A/x`, 'GET', 400],
  ])('answers %s by %s with %i, as a Status', async (path, method, status) => {
    const got = await call(path, client, method);
    expect(got.status).toBe(status);
    expect(got.headers['content-type']).toBe('application/json');
    expect(got.body).toMatchObject({ kind: 'Status', code: status });
  });
});

describe('values of external metrics', () => {
  const STABLE = 'ai-model.suoke.life/arm=stable,ai-model.suoke.life/model=iris';

  test('are sums over all routers, one for each selected arm', async () => {
    use('a', 3, 1);
    use('b', 4);
    use('c', 5, 2);
    await fleet.second();
    const { body } = await selected('ai_model_concurrency', STABLE);
    expect(body).toEqual({
      kind: 'ExternalMetricValueList',
      apiVersion: 'external.metrics.k8s.io/v1beta1',
      metadata: {},
      items: [
        {
          metricName: 'ai_model_concurrency',
          metricLabels: {
            'ai-model.suoke.life/model': 'iris',
            'ai-model.suoke.life/arm': 'stable',
          },
          timestamp: '2026-01-01T00:00:03Z',
          value: '15',
        },
      ],
    });
    expect(valuesOf(await selected('ai_model_queue_depth', STABLE))).toEqual(['3']);
    expect(valuesOf(await selected('ai_model_concurrency', ''))).toEqual(['15', '0']);
    expect(valuesOf(await selected('ai_model_concurrency', 'ai-model.suoke.life/model=x'))).toEqual(
      [],
    );
  });

  test('do not fall for a minute when a router falls silent', async () => {
    use('a', 3);
    use('c', 5);
    await fleet.second();
    router('c').silence();
    const value = async () => valuesOf(await selected('ai_model_concurrency', STABLE))[0];
    await fleet.second(30);
    expect(await value()).toBe('8');
    use('a', 7);
    expect(await value()).toBe('12');
    await fleet.second(31);
    expect(await value()).toBe('7');
  });

  test('cover models of the requested namespace', async () => {
    const path = `${V1}/namespaces/elsewhere/ai_model_concurrency`;
    expect(valuesOf(await call(path))).toEqual([]);
  });

  test('match the query that the autoscaler of a model is rendered with', async () => {
    const spec = parseModel(
      iris({
        scaling_config: { min_replicas: 1, max_replicas: 3, target_concurrency: 2.5 },
      }),
    );
    const autoscaler = objectsOf(spec, parseEnvironment({})).find(
      ({ kind }) => kind === 'HorizontalPodAutoscaler',
    );
    const metric = at(autoscaler, 'spec.metrics.1.external.metric') as {
      name: string;
      selector: { matchLabels: Record<string, string> };
    };
    const selector = Object.entries(metric.selector.matchLabels).map(([k, v]) => `${k}=${v}`);
    expect(valuesOf(await selected(metric.name, selector.join(',')))).toEqual(['0']);
  });
});

test('external metrics have no value before the cluster was read', async () => {
  await listener.close(0);
  fleet.close();
  fleet = await startFleet(['a'], {
    wrap: (cluster) => ({
      ...cluster,
      watch: (hear) => cluster.watch((now) => hear({ ...now, phase: 'listing' })),
    }),
  });
  listener = await open();
  expect(await call(`${VALUES}/ai_model_concurrency`)).toMatchObject({
    status: 503,
    body: { kind: 'Status', reason: 'ServiceUnavailable' },
  });
});
