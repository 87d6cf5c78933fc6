import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Service } from '../../runtime/app/service';
import { projectFolder, serviceIn } from '../app/support';
import type { Backend, Behave } from '../support/backend';
import { json, startBackend, stopBackends } from '../support/backend';
import { connect, stopGrpc } from '../data/grpc/support';
import { until } from '../support/plane';
import type { Collector, ReceivedSpan } from './support';
import { startCollector } from './support';

// A service with traces, from the configuration to the bytes at a collector.

const ANSWER = {
  model_name: 'iris',
  outputs: [{ name: 'y', datatype: 'INT32', shape: [1], data: [7] }],
};
const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
const CALLER = `00-${TRACE_ID}-b7ad6b7169203331-01`;
const KEY = 'a-secret-key-of-the-caller';
const BODY = { inputs: [{ name: 'patient-name', shape: [1], datatype: 'INT32', data: [424_242] }] };

let folder: ReturnType<typeof projectFolder>;
let service: Service | undefined;

beforeEach(() => {
  folder = projectFolder();
});

afterEach(async () => {
  await stopGrpc();
  await service?.close();
  service = undefined;
  await stopBackends();
  folder.remove();
});

async function start(
  endpoint: string,
  backends: readonly Backend[],
  more = '',
  ports = '',
): Promise<Service> {
  const server = `server: { port: 0, accept_seconds: 0, ${ports} }`;
  const traces = `traces: { endpoint: '${endpoint}', service_name: clinic, ${more} }`;
  const opened = await serviceIn(folder.path, `${server}\n${traces}`, backends);
  service = opened;
  const ready = (): number =>
    opened
      .snapshot()
      .models.get('iris')
      ?.replicas.filter(({ phase }) => phase === 'ready').length ?? 0;
  await until(() => ready() === backends.length, 'all replicas');
  return opened;
}

async function infer(headers: Record<string, string> = {}, path = '/v2/models/iris/infer') {
  const sent = { method: 'POST', headers: { 'x-api-key': KEY, ...headers } };
  const answer = await fetch(`${service?.url}${path}`, { ...sent, body: JSON.stringify(BODY) });
  return { status: answer.status, headers: answer.headers, text: await answer.text() };
}

/** Spans are exported when the service has ended, at the latest. */
async function exported({ spans }: Collector): Promise<readonly ReceivedSpan[]> {
  await service?.close();
  service = undefined;
  return spans();
}

const url = ({ address }: Backend): string => `http://${address}`;
const named = (spans: readonly ReceivedSpan[], name: string) =>
  spans.filter((span) => span.name === name);
const inferences = ({ seen }: Backend) => seen.filter(({ method }) => method === 'POST');

test('a request with a retry is one server span with an attempt for each replica', async () => {
  const collector = await startCollector();
  const isBusy = new Set<number>();
  const behave =
    (index: number): Behave =>
    ({ method }) => {
      if (method !== 'POST') return json({});
      // Whichever replica is asked first.
      isBusy.add(index);
      return isBusy.size === 1 ? json({ error: 'busy' }, 503) : json(ANSWER);
    };
  const backends = await Promise.all([startBackend(behave(0)), startBackend(behave(1))]);
  writeFileSync(join(folder.path, 'headers'), 'authorization: Bearer of-the-collector\n');
  await start(url(collector.backend), backends, "sample_ratio: 0, headers_file: 'headers'");

  const answer = await infer({ traceparent: CALLER, tracestate: 'vendor=1' });
  expect([answer.status, JSON.parse(answer.text)]).toEqual([200, ANSWER]);
  const spans = await exported(collector);

  const [root] = named(spans, 'POST /v2/models/{model}/infer');
  expect(root).toMatchObject({
    traceId: TRACE_ID,
    parentId: 'b7ad6b7169203331',
    kind: 2,
    isError: false,
    service: 'clinic',
    attributes: {
      'http.request.method': 'POST',
      'http.route': '/v2/models/{model}/infer',
      'http.response.status_code': 200,
      'ai_model.id': 'iris',
      'ai_model.arm': 'stable',
      'ai_model.version': '1',
      'ai_model.outcome': 'success',
    },
  });
  const attempts = named(spans, 'attempt');
  expect(attempts.map(({ attributes, isError }) => [attributes, isError])).toEqual([
    [expect.objectContaining({ 'http.response.status_code': 503, 'error.type': '503' }), true],
    [
      expect.objectContaining({ 'http.response.status_code': 200, 'http.request.resend_count': 1 }),
      false,
    ],
  ]);
  expect(spans).toHaveLength(3);
  const places = attempts.map(({ attributes }) =>
    [attributes['server.address'], attributes['server.port']].join(':'),
  );
  expect(places.sort()).toEqual(backends.map(({ address }) => address).sort());
  for (const attempt of attempts) {
    expect([attempt.traceId, attempt.parentId, attempt.kind]).toEqual([TRACE_ID, root?.spanId, 3]);
    const port = attempt.attributes['server.port'];
    const [seen] = inferences(backends.find((one) => one.port === port) as Backend);
    expect(seen?.headers).toMatchObject({
      traceparent: `00-${TRACE_ID}-${attempt.spanId}-01`,
      tracestate: 'vendor=1',
    });
    expect(attempt.durationUs).toBeLessThanOrEqual(root?.durationUs ?? 0);
  }
  expect(answer.headers.get('traceparent')).toBe(`00-${TRACE_ID}-${root?.spanId}-01`);
  expect(collector.headers()[0]).toMatchObject({
    'content-type': 'application/x-protobuf',
    authorization: 'Bearer of-the-collector',
  });
  expect(collector.backend.seen[0]?.url).toBe('/v1/traces');
  for (const secret of [KEY, '424242', 'patient-name', 'of-the-collector']) {
    expect(collector.bytes()).not.toContain(secret);
  }
});

test('the caller decides whether its trace is sampled; others are by the ratio', async () => {
  const collector = await startCollector();
  const backend = await startBackend(() => json(ANSWER));
  await start(url(collector.backend), [backend], 'sample_ratio: 1');
  const unsampled = CALLER.replace(/1$/, '0');
  await infer({ traceparent: unsampled });
  await infer({ traceparent: 'ff-invalid', tracestate: 'of=another' });
  await infer({}, `/v2/models/${KEY}/infer`);
  const spans = await exported(collector);

  const [first, second] = inferences(backend);
  expect(first?.headers.traceparent).toBe(unsampled);
  // A new trace has no state of another one.
  const [root, unknown] = spans.filter(({ name }) => name === 'POST /v2/models/{model}/infer');
  expect(second?.headers.traceparent).toMatch(new RegExp(`^00-${root?.traceId}-[0-9a-f]{16}-03$`));
  expect(second?.headers).not.toHaveProperty('tracestate');
  expect(root?.parentId).toBe('');
  expect(unknown?.attributes).toEqual({
    'http.request.method': 'POST',
    'http.route': '/v2/models/{model}/infer',
    'http.response.status_code': 404,
    'ai_model.outcome': 'client_error',
  });
  expect(spans.map(({ traceId }) => traceId)).not.toContain(TRACE_ID);
  expect(collector.bytes()).not.toContain(KEY);
});

test('calls over gRPC and of the management API have a server span each', async () => {
  const collector = await startCollector();
  const backend = await startBackend(() => json(ANSWER));
  const opened = await start(url(collector.backend), [backend], 'sample_ratio: 0', 'grpc_port: 0');
  const client = connect(Number(opened.grpcAddress?.split(':')[1]));
  const metadata = { traceparent: CALLER };
  const tensor = { name: 'patient-name', datatype: 'INT32', shape: [1] };
  const inputs = [{ ...tensor, contents: { int_contents: [424_242] } }];
  await client.call('ModelInfer', { model_name: 'iris', inputs }, metadata);
  await client.fail('ModelInfer', { model_name: KEY, inputs }, metadata);
  const listed = await fetch(`${opened.url}/api/v1/models`, { headers: metadata });
  await listed.text();
  await fetch(`${opened.url}/api/v1/models`, { headers: { traceparent: 'none' } });
  await stopGrpc();
  const spans = await exported(collector);

  const rpc = 'inference.GRPCInferenceService/ModelInfer';
  const [good, unknown] = named(spans, rpc);
  expect(good?.attributes).toEqual({
    'rpc.system': 'grpc',
    'rpc.service': 'inference.GRPCInferenceService',
    'rpc.method': 'ModelInfer',
    'rpc.grpc.status_code': 0,
    'ai_model.id': 'iris',
    'ai_model.arm': 'stable',
    'ai_model.version': '1',
    'ai_model.outcome': 'success',
  });
  expect(unknown?.attributes).toMatchObject({ 'rpc.grpc.status_code': 5 });
  const [attempt] = named(spans, 'attempt');
  expect(attempt?.parentId).toBe(good?.spanId);
  const [call] = named(spans, 'GET');
  expect(call?.attributes).toMatchObject({
    'http.request.method': 'GET',
    'http.response.status_code': 200,
    'ai_model.outcome': 'success',
  });
  expect(listed.headers.get('traceparent')).toBe(`00-${TRACE_ID}-${call?.spanId}-01`);
  expect(spans.map(({ traceId }) => traceId)).toEqual([TRACE_ID, TRACE_ID, TRACE_ID, TRACE_ID]);
  for (const secret of [KEY, '424242']) expect(collector.bytes()).not.toContain(secret);
});

test('a collector that is down changes no answer; its spans are counted as dropped', async () => {
  const [collector, backend] = await Promise.all([
    startCollector(),
    startBackend(() => json(ANSWER)),
  ]);
  await collector.backend.kill();
  await start(url(collector.backend), [backend], 'max_queue: 4');
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => infer({ traceparent: CALLER })),
  );
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
  const metrics = await (await fetch(`${service?.url}/metrics`)).text();
  // Two spans of each request, and room for four.
  expect(metrics).toContain('ai_model_trace_spans_dropped_total 6\n');
});

test.each([
  ['headers_file: missing', /^traces\.headers_file: ENOENT/],
  ['ca_file: missing', /^traces\.ca_file: ENOENT/],
])('a file that cannot be read is an error at start: %s', async (more, message) => {
  const backend = await startBackend(() => json(ANSWER));
  await expect(start('http://127.0.0.1:4318', [backend], more)).rejects.toThrow(message);
});
