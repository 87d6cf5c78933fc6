import { join } from 'node:path';
import { connect } from '../../data/grpc/support';
import { call, workspace } from '../service';
import { findServer } from './install';
import { freePorts, killAll } from './processes';
import type { Replica } from './replica';
import { startReplica } from './replica';
import type { Router } from './router';
import { startRouter } from './router';
import { callBinary, drain, update } from './suite';

// KServe's own server with models of one's own: an image in a cluster, a process here. It speaks V1
// and V2; a definition says which of them its model is called by.

const definition = (id: string, protocol: string) => ({
  id,
  version: 'v1',
  framework: 'custom',
  image: `suoke/${id}:1.0.0`,
  server: { kind: 'custom', protocol },
  scaling: { maxReplicas: 2 },
  health: { periodSeconds: 1, path: `/v2/models/${id}/ready` },
  candidates: [{ name: 'next', version: 'v2', image: `suoke/${id}:2.0.0`, traffic: 0 }],
});
const SUMMED = definition('summed', 'v2');
const DOUBLED = definition('doubled', 'v1');
const V2 = { inputs: [{ name: 'x', datatype: 'FP32', shape: [2, 2], data: [0, 1, 4, 4] }] };
const ROWS = {
  instances: [
    [0, 1],
    [4, 4],
  ],
};
const FLOATS = Buffer.from(new Float32Array([0, 1, 4, 4]).buffer);

const venv = findServer('kserve');
const place = workspace();
const suite = venv === undefined ? describe.skip : describe;
let router: Router;
let replica: Replica;
let nextPort = 0;

const start = (port?: number): Promise<Replica> =>
  startReplica({
    folder: place.folder,
    port,
    readyPath: SUMMED.health.path,
    command: ([http, grpc]) => [
      `${venv}/bin/python`,
      join(__dirname, 'python', 'kserve_server.py'),
      `--http_port=${http}`,
      `--grpc_port=${grpc}`,
    ],
  });

suite('the server of KServe', () => {
  beforeAll(async () => {
    [nextPort = 0] = await freePorts(1);
    replica = await start();
    const arms = { stable: [replica.address], next: [`127.0.0.1:${nextPort}`] };
    router = await startRouter({
      folder: place.folder,
      definitions: [SUMMED, DOUBLED],
      endpoints: { summed: arms, doubled: arms },
    });
    await router.arm('summed', 'stable', { ready: 1 });
    await router.arm('doubled', 'stable', { ready: 1 });
  });

  afterAll(() => {
    killAll();
    place.remove();
  });

  test('its metrics are at the path where those of an own server are scraped', async () => {
    const metrics = await call(`${replica.url}/metrics`, 'GET');
    expect(metrics.text).toMatch(/^# TYPE \w+ \w+$/m);
  });

  test('a model that speaks V2 is called by V2 in JSON', async () => {
    const answer = await router.call('POST', '/v2/models/summed/infer', V2);
    expect(answer.status).toBe(200);
    expect(answer.json().outputs[0]).toMatchObject({ name: 'y', shape: [2], data: [1, 8] });
  });

  test('with binary tensors in both directions', async () => {
    const tensor = { name: 'x', shape: [2, 2], data: FLOATS };
    const answer = await callBinary(`${router.url}/v2/models/summed/infer`, tensor, 'y');
    expect(answer.status).toBe(200);
    expect([...new Float32Array(new Uint8Array(answer.tail).buffer)]).toEqual([1, 8]);
  });

  test('by V1, natively and over gRPC, transcoded', async () => {
    const v1 = await router.call('POST', '/v1/models/summed:predict', ROWS);
    expect(v1.json()).toEqual({ predictions: [1, 8] });
    const native = await router.call('POST', '/api/v1/models/summed/inference', {
      input_data: { x: [4, 4] },
    });
    expect(native.json()).toMatchObject({ output_data: { y: 8 } });
    const client = connect(router.grpcPort);
    const { reply } = await client.call('ModelInfer', {
      model_name: 'summed',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [2, 2] }],
      raw_input_contents: [FLOATS],
    });
    const [raw = Buffer.alloc(0)] = reply.raw_output_contents;
    expect([raw.readFloatLE(0), raw.readFloatLE(4)]).toEqual([1, 8]);
    client.close();
  });

  test('its metadata have its tensors, over HTTP and gRPC', async () => {
    const about = await router.call('GET', '/v2/models/summed');
    expect(about.json()).toMatchObject({
      name: 'summed',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
    });
    const client = connect(router.grpcPort);
    const { reply } = await client.call('ModelMetadata', { name: 'summed' });
    expect(reply.outputs).toMatchObject([{ name: 'y', datatype: 'FP32' }]);
    client.close();
  });

  test('a model that speaks V1 is called by V1, V2, natively and over gRPC', async () => {
    const v1 = await router.call('POST', '/v1/models/doubled:predict', ROWS);
    expect(v1.json()).toEqual({
      predictions: [
        [0, 2],
        [8, 8],
      ],
    });
    const v2 = await router.call('POST', '/v2/models/doubled/infer', V2);
    expect(v2.json()).toMatchObject({ outputs: [{ shape: [2, 2], data: [0, 2, 8, 8] }] });
    const native = await router.call('POST', '/api/v1/models/doubled/inference', {
      input_data: { x: [1, 2] },
    });
    expect(native.json()).toMatchObject({ output_data: { predictions: [2, 4] } });
    const client = connect(router.grpcPort);
    const { reply } = await client.call('ModelInfer', {
      model_name: 'doubled',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], contents: { fp32_contents: [1, 2] } }],
    });
    expect(reply.outputs).toMatchObject([{ shape: ['1', '2'] }]);
    client.close();
    const status = await router.call('GET', '/v1/models/doubled');
    expect(status.json()).toEqual({ name: 'doubled', ready: true });
  });

  test('its message about an invalid request reaches the caller', async () => {
    const answer = await router.call('POST', '/v1/models/doubled:predict', { instances: 'x' });
    expect(answer.status).toBe(400);
    expect(answer.text).toContain('instances');
  });

  test('another version replaces it under load, and no request fails', async () => {
    const path = '/v2/models/summed/infer';
    const startNew = () => start(nextPort);
    const done = await update({ router, model: 'summed', path, body: V2, old: replica, startNew });
    expect(done).toMatchObject({ failed: [], arm: 'next', ended: { code: 0 } });
    expect(done.sent).toBeGreaterThan(50);
  });

  test('at SIGTERM it finishes its requests, as expected of an own server, and ends', async () => {
    const server = await start();
    const slow = { instances: ['slow'] };
    const { answer, ended } = await drain(server, '/v1/models/doubled:predict', slow);
    expect(answer?.json()).toEqual({ predictions: ['slow'] });
    expect(ended).toMatchObject({ code: 0 });
  });
});
