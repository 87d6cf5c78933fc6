import { call, until } from '../service';
import type { Place, Status } from './support/place';
import { install } from './support/place';
import { refusals } from './support/refusals';
import { ASK, sleepy, standIn } from './support/standin';

// Two routers as pods: they share what replicas can take, one leads, and models sleep and wake.

const MODELS = '/api/v1/models';

let place: Place;
beforeAll(async () => {
  place = await install('routers');
});
afterAll(() => place.end());

const infer = (id: string): ReturnType<Place['call']> =>
  place.call('POST', `${MODELS}/${id}/inference`, ASK);

const burst = (id: string, count: number): Promise<Awaited<ReturnType<typeof infer>>[]> =>
  Promise.all(Array.from({ length: count }, () => infer(id)));

/** How many requests each router has answered for a model. */
async function perRouter(id: string): Promise<number[]> {
  const path = 'jsonpath={.items[*].status.podIP}';
  const ips = await place.kubectl('get', 'pods', '-l', 'app=ai-model-service', '-o', path);
  const ask = async (ip: string): Promise<number> => {
    const url = `http://${ip}:8080/health/detailed`;
    const health = (await call(url, 'GET', undefined, undefined, { ...place.key })).json();
    const models = health.models as { model_id: string; arms: { requests: number }[] }[];
    return models.find(({ model_id: name }) => name === id)?.arms[0]?.requests ?? 0;
  };
  return Promise.all(ips.split(' ').map(ask));
}

test('a replica gets no more requests at once than its limit, with any number of routers', async () => {
  const inference = { timeoutSeconds: 60, maxConcurrency: 4, maxQueueDepth: 500 };
  await place.applyModel(standIn('narrow', { DELAY_MS: '300' }, { inference }));
  await place.status('narrow', ({ status }) => status === 'running', 60_000);
  const answers = await burst('narrow', 80);
  expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
  const most = answers.map((one) => one.json().output_data.most as number);
  expect(Math.max(...most)).toBe(4);
  expect((await perRouter('narrow')).map((count) => count > 0)).toEqual([true, true]);
});

const holder = async (): Promise<string> => {
  const path = 'jsonpath={.spec.holderIdentity}';
  const lease = await place.kubectl('get', 'lease', 'ai-model-service', '-o', path);
  return lease.replace(/_[^_]*$/, '');
};

/** The status, or nothing from a router that is just dying. */
const seen = async (id: string): Promise<Partial<Status>> => {
  try {
    return (await place.call('GET', `${MODELS}/${id}/status`)).json() as Status;
  } catch {
    return {};
  }
};

test('when the leader is killed another one continues its work', async () => {
  const candidates = [{ version: 'v2', traffic: 10 }];
  // REST has no word for the entry point of a stand-in: what Git gave it stays when REST goes on with it.
  await place.applyModel(standIn('lead'));
  await place.status('lead', ({ status }) => status === 'running', 60_000);
  await place.call('POST', `${MODELS}/deploy?force=true`, { config: standIn('lead') });
  await place.call('PUT', `${MODELS}/lead`, { config: { candidates } });
  await place.status('lead', ({ arms }) => arms.every((arm) => arm.replicas.ready === 1), 60_000);
  const first = await until('a leader', holder, (pod) => pod !== '');
  await place.call('POST', `${MODELS}/lead/promote`, {});
  await place.status('lead', ({ conditions }) =>
    conditions.some(({ type, status }) => type === 'Promoting' && status === 'True'),
  );
  await place.kubectl('delete', 'pod', first, '--grace-period=0', '--force');
  await until('another leader', holder, (pod) => pod !== '' && pod !== first, 40_000);
  const isDone = ({ arms, version }: Partial<Status>): boolean =>
    arms?.length === 1 && version === 'v2';
  await until('the promotion', () => seen('lead'), isDone, 120_000);
  expect((await infer('lead')).json().model_version).toBe('v2');
});

test('an idle model sleeps, and all of the 200 requests that wake it are answered', async () => {
  await place.applyModel(sleepy());
  await place.status('sleepy', ({ replicas }) => replicas.ready === 1, 60_000);
  const serving = new Set<boolean>();
  const isAsleep = ({ replicas, serving: now }: Status): boolean => {
    serving.add(now);
    return replicas.desired === 0 && replicas.current === 0;
  };
  const asleep = await place.status('sleepy', isAsleep, 90_000);
  expect(asleep.status).toBe('running');
  expect([...serving]).toEqual([true]);
  const answers = await burst('sleepy', 200);
  expect(answers.filter(({ status }) => status !== 200).map(({ text }) => text)).toEqual([]);
});

test('the Role was sufficient for all of it', async () => {
  expect(await refusals(place)).toEqual([]);
});
