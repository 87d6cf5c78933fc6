import type { Service } from './support';
import { ask, place, serve, T0, withCandidate } from './support';

let service: Service;
afterEach(() => service.close());

async function begin(): Promise<void> {
  service = await serve();
  await place(service, withCandidate());
  await service.control.tick();
}

type Change = Readonly<Record<'at' | 'arm' | 'from' | 'to', string | null>>;

async function second(): Promise<void> {
  service.clock.at += 1000;
  await service.control.tick();
}

const history = async (): Promise<readonly Change[]> =>
  (await ask(`${service.url}/api/v1/models/iris/status`)).body['history'] as never;

const scale = (replicas: number) =>
  ask(`${service.url}/api/v1/models/iris/scale`, 'POST', { replicas });

test('shows when the status and the health of an arm changed, and from what to what', async () => {
  await begin();
  expect(await history()).toEqual([]);
  await scale(0);
  await second();
  const stopped = (await history()).find(({ arm }) => arm === null);
  expect(stopped).toEqual({
    at: new Date(T0 + 1000).toISOString(),
    arm: null,
    from: expect.any(String),
    to: 'stopped',
    why: null,
  });
  expect(await history()).toContainEqual({
    at: new Date(T0 + 1000).toISOString(),
    arm: 'stable',
    from: expect.any(String),
    to: 'stopped',
    why: null,
  });
  const { body } = await ask(`${service.url}/api/v1/health/detailed`);
  expect(body['models']).toMatchObject([{ model_id: 'iris', history: await history() }]);
});

test('keeps the last ten of the model and of each arm, oldest first', async () => {
  await begin();
  for (let round = 0; round < 15; round += 1) {
    await scale(round % 2);
    await second();
  }
  const all = await history();
  for (const name of [null, 'stable', 'next']) {
    const own = all.filter(({ arm }) => arm === name);
    expect(own).toHaveLength(10);
    own.slice(1).forEach(({ from }, index) => expect(from).toBe(own[index]?.to));
  }
  const times = all.map(({ at }) => String(at));
  expect(times).toEqual(times.toSorted());
});

test('a model that was removed has no history when it comes again', async () => {
  await begin();
  await scale(0);
  await second();
  expect(await history()).not.toEqual([]);
  await ask(`${service.url}/api/v1/models/iris?force=true`, 'DELETE');
  await second();
  await second();
  await place(service, withCandidate());
  await second();
  expect(await history()).toEqual([]);
});

test('of many models a hundred are looked at in a second, and all in turn', async () => {
  service = await serve();
  const ids = Array.from({ length: 150 }, (_, index) => `m${index}`);
  for (const id of ids) await place(service, { ...withCandidate(), model_id: id });
  await second();
  await second();
  for (const id of ids)
    await ask(`${service.url}/api/v1/models/${id}/scale`, 'POST', { replicas: 0 });
  const changed = async (): Promise<number> => {
    const { body } = await ask(`${service.url}/api/v1/health/detailed`);
    const models = body['models'] as readonly { readonly history: readonly object[] }[];
    return models.filter((one) => one.history.length > 0).length;
  };
  await second();
  expect(await changed()).toBe(100);
  await second();
  expect(await changed()).toBe(150);
});
