import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import type { Behave } from '../../support/backend';
import { json, startBackend, stopBackends } from '../../support/backend';
import { sendRaw, startPlane, stopPlanes, until } from '../../support/plane';
import { connect, startGrpc, stopGrpc } from './support';

// The port: its end, its certificate, its limits.

afterEach(async () => {
  await stopGrpc();
  await stopPlanes();
  await stopBackends();
});

const ANSWER = { outputs: [{ name: 'y', datatype: 'INT32', shape: [1], data: [7] }] };
const INPUT = { name: 'x', datatype: 'INT32', shape: [1], contents: { int_contents: [1] } };
const CALL = { model_name: 'iris', inputs: [INPUT] };
const NAMED = { 'grpc.ssl_target_name_override': 'localhost' };
const file = (name: string): string => join(__dirname, 'fixtures', `localhost.${name}.pem`);

async function start(behave: Behave) {
  const backend = await startBackend(behave);
  const plane = await startPlane();
  plane.route({ input: { id: 'iris' }, ports: { stable: [backend.port] } });
  return { backend, plane };
}

function later(): { readonly held: Promise<void>; readonly release: () => void } {
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  return { held, release };
}

test('on shutdown running calls are finished, and new ones go elsewhere', async () => {
  const { held, release } = later();
  const body = JSON.stringify(ANSWER);
  const { backend, plane } = await start(() => ({ kind: 'answer', after: held, body }));
  const server = await startGrpc(plane);
  const client = connect(server.port);
  const running = client.call('ModelInfer', CALL);
  await until(() => backend.seen.length === 1, 'the request at the server');
  server.beginClose();
  const closed = server.close(60_000);
  const fresh = connect(server.port);
  expect((await fresh.fail('ServerLive')).code).toBe(14);
  release();
  expect((await running).reply.outputs[0]?.contents?.['int_contents']).toEqual([7]);
  await closed;
  expect((await client.fail('ServerLive')).code).toBe(14);
});

test('calls that outlast the grace period are cut, and cancelled at the server', async () => {
  const { backend, plane } = await start(() => ({ kind: 'silence' }));
  const server = await startGrpc(plane);
  const call = connect(server.port).fail('ModelInfer', CALL);
  await until(() => backend.inFlight() === 1, 'the request at the server');
  await server.close(50);
  expect([1, 14]).toContain((await call).code);
  await until(() => backend.inFlight() === 0, 'nothing at the server');
  await until(() => plane.outcomes.length === 1, 'the outcome');
  expect(plane.outcomes[0]?.status).toBe(499);
});

test('idle connections do not delay the shutdown', async () => {
  const { plane } = await start(() => json(ANSWER));
  const server = await startGrpc(plane);
  const client = connect(server.port);
  await client.call('ServerLive');
  const mute = sendRaw(server.port, '');
  await server.close(60_000);
  expect(await mute).not.toContain('HTTP/1.1');
});

test('with a certificate it speaks TLS, and servers see the scheme', async () => {
  const { backend, plane } = await start(() => json(ANSWER));
  const tls = { cert: file('cert'), key: file('key') };
  const pair = { cert: readFileSync(tls.cert), key: readFileSync(tls.key) };
  const source = { pair: () => pair, onChange: () => () => undefined };
  const { port } = await startGrpc(plane, { tls: source });
  const secure = connect(port, NAMED, credentials.createSsl(readFileSync(tls.cert)));
  expect((await secure.call('ModelInfer', CALL)).reply.model_name).toBe('iris');
  expect(backend.seen[0]?.headers['x-forwarded-proto']).toBe('https');
  const plain = connect(port);
  expect(
    (await plain.fail('ServerLive', {}, {}, { deadline: Date.now() + 300 })).code,
  ).toBeGreaterThan(0);
});

test('a port in use is reported with its address', async () => {
  const { plane } = await start(() => json(ANSWER));
  const { port } = await startGrpc(plane);
  await expect(startGrpc(plane, { port })).rejects.toThrow(
    `cannot listen on 127.0.0.1:${port}: the port is in use; choose another server.grpc_port`,
  );
});

test('a connection of another protocol is closed', async () => {
  const { plane } = await start(() => json(ANSWER));
  const { port } = await startGrpc(plane);
  const got = await sendRaw(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  expect(got).not.toContain('HTTP/1.1 200');
  expect((await connect(port).call('ServerLive')).reply.live).toBe(true);
});

test('connections beyond the limit are refused', async () => {
  const { plane } = await start(() => json(ANSWER));
  const { port } = await startGrpc(plane, { maxConnections: 1 });
  const first = connect(port);
  await first.call('ServerLive');
  const second = connect(port);
  expect(
    (await second.fail('ServerLive', {}, {}, { deadline: Date.now() + 300 })).code,
  ).toBeGreaterThan(0);
  expect((await first.call('ServerLive')).reply.live).toBe(true);
});
