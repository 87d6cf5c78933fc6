import type { Place } from './support/place';
import { install } from './support/place';
import { refusals } from './support/refusals';
import { ASK, standIn } from './support/standin';

// One writer per model: from kubectl to REST and back, while it serves.

const STORY = '/api/v1/models/story';
let place: Place;
beforeAll(async () => {
  place = await install('adopt');
});
afterAll(() => place.end());

const answers = async (): Promise<number> =>
  (await place.call('POST', `${STORY}/inference`, ASK)).status;

const pod = (): Promise<string> =>
  place.kubectl('get', 'pods', '-l', 'ai-model.suoke.life/model=story', '-o', 'name');

test('a model of kubectl is taken over by REST and handed back, and no pod restarts', async () => {
  await place.applyModel(standIn('story'));
  await place.status('story', ({ status }) => status === 'running', 60_000);
  const before = await pod();

  const change = { config: { capabilities: ['taken'] } };
  const refused = await place.call('PUT', STORY, change);
  expect(refused.json()).toMatchObject({ error: { code: 'READ_ONLY' } });
  expect((await place.call('PUT', `${STORY}?force=true`, change)).status).toBe(202);
  await place.status('story', ({ manager }) => manager === 'rest');
  expect((await place.call('PUT', STORY, { config: { capabilities: ['ours'] } })).status).toBe(202);
  expect(await answers()).toBe(200);

  await expect(place.applyModel(standIn('story'))).rejects.toThrow(/conflict/);
  await place.applyModel(standIn('story'), '--force-conflicts');
  await place.status('story', ({ manager }) => manager === 'kubectl');
  expect((await place.call('PUT', STORY, change)).status).toBe(409);
  expect(await answers()).toBe(200);
  expect(await pod()).toBe(before);
  expect(await refusals(place)).toEqual([]);
});
