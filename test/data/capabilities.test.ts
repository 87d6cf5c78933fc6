import { parseEnvironment, parseModel, PROTOCOLS } from '../../lib/spec';
import { objectsOf } from '../../lib/objects';
import { EndpointArm } from '../../runtime/cluster/local/endpoints';
import type { Behave } from '../support/backend';
import { json, startBackend, stopBackends } from '../support/backend';
import { startPlane, stopPlanes, until } from '../support/plane';
import { BEHAVE, speaking } from '../support/servers';
import { ask, iris, place, serve } from '../control/support';

// One table says which calls a model answers: lists, status and handlers agree.

afterEach(async () => {
  await stopPlanes();
  await stopBackends();
});

const CHAT = '/openai/v1/chat/completions';

test.each(PROTOCOLS)(
  '/openai/v1/models lists a model of %s exactly if it can chat',
  async (protocol) => {
    const backend = await startBackend(BEHAVE[protocol]);
    const plane = await startPlane();
    plane.route({ input: speaking(protocol), ports: { stable: [backend.port] } });
    const messages = [{ role: 'user', content: 'hi' }];
    const answers = (await plane.post(CHAT, { model: 'iris', messages })).status === 200;
    const { data } = JSON.parse((await plane.ask('/openai/v1/models')).text) as { data: unknown[] };
    expect(data).toHaveLength(answers ? 1 : 0);
    const one = await plane.ask('/openai/v1/models/iris');
    expect(one.status).toBe(answers ? 200 : 404);
    expect(answers).toBe(protocol === 'native' || protocol === 'openai');
  },
);

test('a candidate that cannot chat does not hide a stable arm that can', async () => {
  const plane = await startPlane();
  const candidates = [
    {
      name: 'next',
      version: 'v2',
      image: 'registry.example.org/x:2',
      server: { kind: 'custom', protocol: 'v2' },
      traffic: 10,
    },
  ] as const;
  plane.route({ input: { ...speaking('native'), candidates: [...candidates] }, ports: {} });
  expect((await plane.ask('/openai/v1/models')).text).toContain('"iris"');
});

const LISTED: Readonly<Record<string, readonly string[]>> = {
  native: ['inference', 'batch', 'v2', 'v1', 'openai'],
  v2: ['inference', 'batch', 'v2', 'v1'],
  v1: ['inference', 'batch', 'v2', 'v1'],
  tfs: ['inference', 'batch', 'v2', 'v1'],
  openai: ['inference', 'batch', 'openai'],
};

test.each(PROTOCOLS)(
  'the status of a model of %s lists transcoded calls as well',
  async (protocol) => {
    const service = await serve();
    try {
      const server = { kind: 'custom', protocol };
      await place(service, iris({ framework: 'custom', docker_image: 'x.example/y:1', server }));
      const { body } = await ask(`${service.url}/api/v1/models/iris/status`);
      const endpoints = body['endpoints'] as readonly { type: string }[];
      expect(endpoints.map(({ type }) => type)).toEqual(LISTED[protocol]);
    } finally {
      await service.close();
    }
  },
);

const warn = (): void => undefined;
const custom = (protocol: string, path?: string) =>
  parseModel({
    id: 'iris',
    version: '1',
    framework: 'custom',
    image: 'registry.example.org/iris:1',
    server: { kind: 'custom', protocol },
    health: { periodSeconds: 1, ...(path !== undefined && { path }) },
  });

test.each([
  ['openai', undefined, '/v1/models'],
  ['openai', '/health', '/health'],
  ['native', undefined, '/health'],
])('a server of %s with the health path %s is probed at %s', async (protocol, path, probed) => {
  const spec = custom(protocol, path);
  const text = JSON.stringify(objectsOf(spec, parseEnvironment({})));
  expect(text).toContain(`"path":"${probed}"`);
  const backend = await startBackend(({ url }) => json({}, url === probed ? 200 : 404));
  const addresses = [`127.0.0.1:${backend.port}`];
  const onChange = (): void => undefined;
  const [arm] = spec.arms;
  const watched = new EndpointArm({ spec, arm, addresses, now: Date.now, warn, onChange });
  await until(() => watched.record().ready === 1, 'the probe');
  await watched.stop();
});

test('the reason of an endpoint that is not ready is the present one', async () => {
  const spec = custom('native');
  const sick: Behave = () => json({}, 503);
  const backend = await startBackend(sick);
  const addresses = [`127.0.0.1:${backend.port}`];
  let changes = 0;
  const onChange = (): void => void (changes += 1);
  const [arm] = spec.arms;
  const watched = new EndpointArm({ spec, arm, addresses, now: Date.now, warn, onChange });
  const why = (): string => watched.record().why?.message ?? '';
  await until(() => why().includes('answered 503'), 'the first reason');
  backend.become(() => json({}, 404));
  await until(() => why().includes('answered 404'), 'the second reason');
  await backend.kill();
  await until(() => why().includes('ECONNREFUSED'), 'the third reason');
  expect(watched.replicas()[0]?.why?.message).toBe(why());
  expect(changes).toBe(3);
  await watched.stop();
});
