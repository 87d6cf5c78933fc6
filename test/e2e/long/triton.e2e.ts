import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SERVERS } from '../../../lib/spec/servers';
import { connect } from '../../data/grpc/support';
import { specOf } from '../../support/manifests';
import { call, workspace } from '../service';
import { findServer, sitePackages } from './install';
import { freePorts, killAll } from './processes';
import type { Replica } from './replica';
import { asRendered, readyPathOf, startReplica } from './replica';
import type { Router } from './router';
import { startRouter } from './router';
import { callBinary, drain, update } from './suite';

// Triton on the CPU with a model of its python backend (the only one in the package that carries it),
// started with the command line and the configuration of its manifest.

const venv = findServer('triton');
const TRITON = venv === undefined ? '' : join(sitePackages(venv), 'pytriton', 'tritonserver');
const FACTS = SERVERS.triton;
const ON_LOOPBACK = ['http', 'grpc', 'metrics'].map((one) => `--${one}-address=127.0.0.1`);

const DEFINITION = {
  id: 'line',
  version: 'v1',
  framework: 'pytorch',
  source: 's3://models/line/model.py',
  server: { kind: 'triton', backend: 'python' },
  scaling: { maxReplicas: 2 },
  health: { periodSeconds: 1 },
  inference: { timeoutSeconds: 20 },
  args: [`--backend-directory=${TRITON}/backends`, ...ON_LOOPBACK],
  candidates: [{ name: 'next', version: 'v2', traffic: 0 }],
};
const V2 = { inputs: [{ name: 'x', datatype: 'FP32', shape: [2, 2], data: [0, 1, 4, 4] }] };
const FLOATS = Buffer.from(new Float32Array([0, 1, 4, 4]).buffer);
const ANSWER = [1, 3, 9, 9];
const MODEL = readFileSync(join(__dirname, 'python', 'triton_model.py'));

const place = workspace();
const suite = venv === undefined ? describe.skip : describe;
let router: Router;
let replica: Replica;
let nextPort = 0;
let count = 0;

function start(port?: number): Promise<Replica> {
  const spec = specOf(DEFINITION);
  const folder = join(place.folder, `replica-${(count += 1)}`);
  return startReplica({
    folder,
    port,
    readyPath: readyPathOf(spec),
    env: {
      PATH: `${TRITON}/bin:${venv}/bin:${process.env['PATH']}`,
      PYTHONPATH: venv && sitePackages(venv),
    },
    command: asRendered(spec, folder, MODEL),
  });
}

suite('Triton', () => {
  beforeAll(async () => {
    [nextPort = 0] = await freePorts(1);
    replica = await start();
    router = await startRouter({
      folder: place.folder,
      definitions: [DEFINITION],
      endpoints: { line: { stable: [replica.address], next: [`127.0.0.1:${nextPort}`] } },
    });
    await router.arm('line', 'stable', { ready: 1 });
  });

  afterAll(() => {
    killAll();
    place.remove();
  });

  test('its probes and metrics are those of the table of servers', async () => {
    const live = 'http' in FACTS.live ? FACTS.live.http : '';
    expect((await call(replica.url + live, 'GET')).status).toBe(200);
    const metrics = await call(replica.metricsUrl + FACTS.metrics.path, 'GET');
    expect(metrics.text).toMatch(/^# TYPE nv_inference_request_success counter$/m);
    expect((await call(`${replica.url}/v2/models/other/ready`, 'GET')).status).toBe(400);
  });

  test('it is called by V2, in JSON and with binary tensors in both directions', async () => {
    const path = '/v2/models/line/infer';
    const answer = await router.call('POST', path, V2);
    expect(answer.json().outputs).toMatchObject([{ name: 'y', shape: [2, 2], data: ANSWER }]);
    const tensor = { name: 'x', shape: [2, 2], data: FLOATS };
    const binary = await callBinary(router.url + path, tensor, 'y');
    expect(binary.status).toBe(200);
    expect([...new Float32Array(new Uint8Array(binary.tail).buffer)]).toEqual(ANSWER);
  });

  test('it is called by V1 and natively, alone and in a batch', async () => {
    const instances = [
      [0, 1],
      [4, 4],
    ];
    const v1 = await router.call('POST', '/v1/models/line:predict', { instances });
    expect(v1.json()).toEqual({
      predictions: [
        [1, 3],
        [9, 9],
      ],
    });
    const path = '/api/v1/models/line';
    const one = await router.call('POST', `${path}/inference`, { input_data: { x: [4, 4] } });
    expect(one.json()).toMatchObject({ output_data: { y: [9, 9] }, model_version: 'v1' });
    const requests = [{ input_data: { x: [0, 1] } }, { input_data: { x: 'no' } }];
    const batch = await router.call('POST', `${path}/batch_inference`, { requests });
    expect(batch.json()).toMatchObject({ succeeded: 1, failed: 1 });
  });

  test('it is called over gRPC through the port of the service, typed and raw', async () => {
    const client = connect(router.grpcPort);
    const x = { name: 'x', datatype: 'FP32', shape: [2, 2] };
    const typed = { ...x, contents: { fp32_contents: [0, 1, 4, 4] } };
    const { reply } = await client.call('ModelInfer', { model_name: 'line', inputs: [typed] });
    expect(reply.outputs[0]?.contents?.['fp32_contents']).toEqual(ANSWER);
    const raw = { model_name: 'line', inputs: [x], raw_input_contents: [FLOATS] };
    const { reply: answered } = await client.call('ModelInfer', raw);
    expect(answered.raw_output_contents).toEqual([Buffer.from(new Float32Array(ANSWER).buffer)]);
    client.close();
  });

  test('its metadata have its tensors, over HTTP and gRPC, under the version of the definition', async () => {
    const about = await router.call('GET', '/v2/models/line');
    const tensor = { datatype: 'FP32', shape: [-1, 2] };
    expect(about.json()).toMatchObject({
      versions: ['v1'],
      platform: 'python',
      inputs: [{ name: 'x', ...tensor }],
      outputs: [{ name: 'y', ...tensor }],
    });
    const client = connect(router.grpcPort);
    const { reply } = await client.call('ModelMetadata', { name: 'line' });
    expect(reply.inputs).toMatchObject([{ name: 'x', shape: ['-1', '2'] }]);
    client.close();
  });

  test('its message about an invalid request reaches the caller', async () => {
    const inputs = [{ name: 'z', datatype: 'FP32', shape: [1, 2], data: [0, 1] }];
    const answer = await router.call('POST', '/v2/models/line/infer', { inputs });
    expect(answer.status).toBe(400);
    expect(answer.text).toMatch(/unexpected inference input 'z'/);
  });

  test('another version replaces it under load, and no request fails', async () => {
    const path = '/v2/models/line/infer';
    const startNew = () => start(nextPort);
    const done = await update({ router, model: 'line', path, body: V2, old: replica, startNew });
    expect(done).toMatchObject({ failed: [], arm: 'next', ended: { code: 0 } });
    expect(done.sent).toBeGreaterThan(50);
  });

  test('at SIGTERM it finishes its requests, as the table of servers states, and ends', async () => {
    const server = await start();
    const slow = { inputs: [{ ...V2.inputs[0], data: [-1000, 0, 0, 0] }] };
    const { answer, ended } = await drain(server, '/v2/models/line/infer', slow);
    expect(answer?.status === 200).toBe(FACTS.drains);
    expect(ended).toMatchObject({ code: 0 });
    // Within what its pod is given after preStop.
    expect(ended.afterMs).toBeLessThan((DEFINITION.inference.timeoutSeconds + 5) * 1000);
    expect(server.log()).toContain('Waiting for in-flight requests to complete');
  });
});
