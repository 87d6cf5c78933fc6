import { copyFileSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { Agent, createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT } from '../support/sources';
import type { Running } from './service';
import { call, start, until, workspace } from './service';

// Rollouts as a user makes them: the built command, real ONNX models as processes, REST, and
// callers by the hundred. The candidate `sick` is a server of this test that fails when told.

const MODEL = '/api/v1/models/any';
const INPUT = { name: 'x', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] };

let place: ReturnType<typeof workspace>;
let service: Running;
let sick: Server;
let sickness = 0;

async function startSick(): Promise<string> {
  let asked = 0;
  sick = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      asked += 1;
      const fails = request.method === 'POST' && asked % 100 < 100 * sickness;
      response.writeHead(fails ? 500 : 200, { 'content-type': 'application/json' });
      response.end(
        fails
          ? '{"error":"sick"}'
          : JSON.stringify({ model_name: 'any', outputs: [{ ...INPUT, name: 'y' }] }),
      );
    });
  }).listen(0, '127.0.0.1');
  await once(sick, 'listening');
  return `127.0.0.1:${(sick.address() as AddressInfo).port}`;
}

const run = (): Promise<Running> => start(place.folder, ['--config', 'service.yaml']);

beforeAll(async () => {
  place = workspace();
  const models = join(place.folder, 'models');
  copyFileSync(join(ROOT, 'test/onnx/fixtures/batchable.onnx'), join(models, 'any.onnx'));
  writeFileSync(join(models, 'any.yaml'), 'model_id: any\nversion: "1"\nframework: onnx\n');
  const endpoints = JSON.stringify({ any: { sick: [await startSick()] } });
  writeFileSync(join(place.folder, 'service.yaml'), `local: { endpoints: ${endpoints} }\n`);
  service = await run();
  await until(
    'the model runs',
    async () => (await service.call('GET', `${MODEL}/status`)).text,
    (text) => text.includes('"status":"running"'),
  );
});

afterAll(async () => {
  await service?.end('SIGTERM');
  sick?.close();
  sick?.closeAllConnections();
  place?.remove();
});

/** Answers by arm that callers got, until stopped. */
function callers(everyMs: number) {
  const agent = new Agent({ keepAlive: true });
  const open = new Set<Promise<void>>();
  const seen: { readonly arm: string; readonly status: number; readonly at: number }[] = [];
  let count = 0;
  const one = async (): Promise<void> => {
    const headers = { 'x-user-id': `caller-${(count += 1)}` };
    const url = `${service.url}/v2/models/any/infer`;
    const answer = await call(url, 'POST', { inputs: [INPUT] }, agent, headers);
    const arm = String(answer.headers['x-ai-model-arm']);
    seen.push({ arm, status: answer.status, at: Date.now() });
  };
  const timer = setInterval(() => {
    // A killed router refuses connections; what callers get meanwhile is another test.
    const running = one()
      .catch(() => undefined)
      .finally(() => open.delete(running));
    open.add(running);
  }, everyMs);
  return {
    seen,
    stop: async () => {
      clearInterval(timer);
      await Promise.all(open);
      agent.destroy();
    },
  };
}

// oxlint-disable-next-line typescript/no-explicit-any
const rollout = async (): Promise<any> => (await service.call('GET', `${MODEL}/rollout`)).json();
const reaches = (phase: string): Promise<unknown> =>
  until(`the rollout is ${phase}`, rollout, (seen) => seen.phase === phase, 90_000);

async function release(name: string, rules: object): Promise<void> {
  const candidates = [{ name, version: `1-${name}`, rollout: { unit: 'request', ...rules } }];
  const answer = await service.call('PUT', MODEL, { config: { candidates } });
  expect([answer.status, answer.text]).toEqual([202, expect.any(String)]);
}

test('a candidate that fails one request of ten is aborted, and only its callers noticed', async () => {
  sickness = 0.1;
  await release('sick', { steps: [20, 100], min_requests: 100_000 });
  const load = callers(5);
  await reaches('aborted');
  await sleep(500);
  const abortedAt = Date.now();
  await sleep(2000);
  await load.stop();
  const status = await rollout();
  expect(status).toMatchObject({ percent: 0, verdict: { do: 'abort', gate: 'failed' } });
  expect(status.verdict.reason).toMatch(/of the candidate failed, \d+ of \d+ of stable; evidence/);
  const failed = load.seen.filter(({ status: code }) => code !== 200);
  expect(failed.length).toBeGreaterThan(3);
  expect(failed.length).toBeLessThan(60);
  expect(new Set(failed.map(({ arm }) => arm))).toEqual(new Set(['sick']));
  const after = load.seen.filter(({ at }) => at > abortedAt);
  expect(after.length).toBeGreaterThan(100);
  expect(new Set(after.map(({ arm }) => arm))).toEqual(new Set(['stable']));
});

test('the state is kept through kill -9, and a good candidate goes to 100 % and is promoted', async () => {
  sickness = 0;
  const gates = { failed: { margin: 20 }, slow: { margin: 50 } };
  await release('next', { steps: [20, 50, 100], min_requests: 60, min_seconds: 3, gates });
  const load = callers(5);
  const second = await until('the second step', rollout, ({ step }) => step === 2, 60_000);
  await service.end('SIGKILL');
  service = await run();
  const again = await until('the rollout goes on', rollout, ({ id }) => id !== undefined);
  expect(again.id).toBe(second.id);
  expect(again.step).toBeGreaterThanOrEqual(2);
  await reaches('done');
  const status = await until(
    'the promotion is done',
    async () => (await service.call('GET', MODEL)).json(),
    (model) => model.version === '1-next' && model.candidates === undefined,
    90_000,
  );
  await load.stop();
  expect(status).toMatchObject({ version: '1-next' });
  expect(load.seen.filter(({ status: code }) => code >= 500)).toEqual([]);
  expect(new Set(load.seen.map(({ arm }) => arm))).toEqual(new Set(['stable', 'next']));
  expect(await rollout()).toMatchObject({ phase: 'done', id: second.id });
});
