import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SERVERS } from '../../../lib/spec/servers';
import { connect } from '../../data/grpc/support';
import { specOf } from '../../support/manifests';
import { call, workspace } from '../service';
import { findServer } from './install';
import { freePorts, killAll } from './processes';
import type { Replica } from './replica';
import { asRendered, readyPathOf, startReplica } from './replica';
import type { Router } from './router';
import { startRouter } from './router';
import { callBinary, drain, update } from './suite';

// MLServer with a scikit-learn model, started with the command line and the files of its manifest.

const DEFINITION = {
  id: 'above',
  version: 'v1',
  framework: 'sklearn',
  source: 's3://models/above/model.joblib',
  scaling: { maxReplicas: 2 },
  health: { periodSeconds: 1 },
  candidates: [{ name: 'next', version: 'v2', traffic: 0 }],
};
const SLOW = { kind: 'mlserver', implementation: 'slow_sklearn.SlowSKLearn' };
const FACTS = SERVERS.mlserver;
const PYTHON = join(__dirname, 'python');
const V2 = { inputs: [{ name: 'x', datatype: 'FP32', shape: [2, 2], data: [0, 1, 4, 4] }] };

const venv = findServer('mlserver');
const place = workspace();
let router: Router;
let replica: Replica;
let artifact: Buffer;
/** A port for the replica that replaces the first is known before it runs. */
let count = 0;

function start(definition: object, port?: number): Promise<Replica> {
  const spec = specOf(definition);
  const folder = join(place.folder, `replica-${(count += 1)}`);
  return startReplica({
    folder,
    port,
    readyPath: readyPathOf(spec),
    env: { PATH: `${venv}/bin:${process.env['PATH']}`, PYTHONPATH: PYTHON },
    command: asRendered(spec, folder, artifact),
  });
}

// Why it is skipped was printed when it was looked for.
const suite = venv === undefined ? describe.skip : describe;

suite('MLServer', () => {
  let nextPort = 0;

  beforeAll(async () => {
    const file = join(place.folder, 'model.joblib');
    execFileSync(`${venv}/bin/python`, [join(PYTHON, 'make_sklearn.py'), file]);
    artifact = readFileSync(file);
    [nextPort = 0] = await freePorts(1);
    replica = await start(DEFINITION);
    router = await startRouter({
      folder: place.folder,
      definitions: [DEFINITION],
      endpoints: { above: { stable: [replica.address], next: [`127.0.0.1:${nextPort}`] } },
    });
    await router.arm('above', 'stable', { ready: 1 });
  });

  afterAll(() => {
    killAll();
    place.remove();
  });

  test('its probes and metrics are those of the table of servers', async () => {
    const live = 'http' in FACTS.live ? FACTS.live.http : '';
    expect((await call(replica.url + live, 'GET')).status).toBe(200);
    const metrics = await call(replica.metricsUrl + FACTS.metrics.path, 'GET');
    expect(metrics.text).toMatch(/^# TYPE \w+ counter$/m);
    expect((await call(`${replica.url}/v2/models/other/ready`, 'GET')).status).toBeGreaterThan(399);
  });

  test('it is called by V2', async () => {
    const answer = await router.call('POST', '/v2/models/above/infer', V2);
    expect(answer.status).toBe(200);
    expect(answer.headers['x-ai-model-version']).toBe('v1');
    const [output] = answer.json().outputs;
    expect(output).toMatchObject({ name: 'predict', shape: [2, 1], data: [0, 1] });
  });

  test('it is called by V1, with rows as KServe’s clients send them, without metadata of inputs', async () => {
    const rows = await router.call('POST', '/v1/models/above:predict', {
      instances: [
        [0, 1],
        [4, 4],
      ],
    });
    expect([rows.status, rows.json()]).toEqual([200, { predictions: [[0], [1]] }]);
    const status = await router.call('GET', '/v1/models/above');
    expect(status.json()).toMatchObject({ name: 'above', ready: true });
  });

  test('it is called natively, alone and in a batch', async () => {
    const one = await router.call('POST', '/api/v1/models/above/inference', {
      input_data: { x: [4, 4] },
    });
    expect(one.json()).toMatchObject({ output_data: { predict: [1] }, model_version: 'v1' });
    const requests = [{ input_data: { x: [0, 1] } }, { input_data: { x: [4, 4] } }];
    const batch = await router.call('POST', '/api/v1/models/above/batch_inference', { requests });
    expect(batch.json()).toMatchObject({ succeeded: 2, failed: 0 });
  });

  test('it is called over gRPC through the port of the service', async () => {
    const client = connect(router.grpcPort);
    const { reply } = await client.call('ModelInfer', {
      model_name: 'above',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], contents: { fp32_contents: [4, 4] } }],
    });
    expect(reply.outputs[0]).toMatchObject({
      datatype: 'INT64',
      contents: { int64_contents: ['1'] },
    });
    const raw = {
      model_name: 'above',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2] }],
      raw_input_contents: [Buffer.from(new Float32Array([0, 1]).buffer)],
    };
    const { reply: answered } = await client.call('ModelInfer', raw);
    expect(answered.raw_output_contents).toEqual([Buffer.alloc(8)]);
    const { reply: about } = await client.call('ModelMetadata', { name: 'above' });
    expect(about).toMatchObject({ name: 'above', versions: ['v1'] });
    client.close();
  });

  test('its message about an invalid request reaches the caller', async () => {
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [1, 3], data: [0, 1, 2] }];
    const answer = await router.call('POST', '/v2/models/above/infer', { inputs });
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.text).toMatch(/3 features/);
  });

  test('it has no binary tensors over HTTP; its message reaches the caller', async () => {
    const tensor = { name: 'x', shape: [1, 2], data: Buffer.from(new Float32Array([4, 4]).buffer) };
    const answer = await callBinary(`${router.url}/v2/models/above/infer`, tensor, 'predict');
    expect([answer.status, answer.text]).toEqual([500, 'Internal Server Error']);
  });

  test('another version replaces it under load, and no request fails', async () => {
    const path = '/v2/models/above/infer';
    const startNew = () => start(DEFINITION, nextPort);
    const done = await update({ router, model: 'above', path, body: V2, old: replica, startNew });
    expect(done).toMatchObject({ failed: [], arm: 'next', ended: { code: 0 } });
    expect(done.sent).toBeGreaterThan(50);
  });

  test('at SIGTERM it drops its requests, as the table of servers states, and ends', async () => {
    const slow = await start({ ...DEFINITION, server: SLOW });
    const request = { ...V2, id: 'slow' };
    const { answer, ended } = await drain(slow, '/v2/models/above/infer', request);
    expect(ended).toMatchObject({ code: 0 });
    expect([answer?.status === 200, answer?.text]).toEqual([
      FACTS.drains,
      expect.stringContaining('CancelledError'),
    ]);
  });
});
