import type { Cluster } from '../../runtime/cluster/port';
import { ClusterError } from '../../runtime/cluster/port';
import type { Callers } from './rollout-callers';
import { createCallers, shareIn } from './rollout-callers';
import type { Service, ServiceOptions } from './support';
import { ask, codeOf, place, serve, T0, withCandidate } from './support';

/** A control plane and a dispatcher on one table. */
let service: Service;
let plane: Callers;
let iris: string;
let callers: number;

let isDown: boolean;

beforeEach(() => {
  isDown = false;
});
afterEach(() => service.close());

const storesUnlessDown = (cluster: Cluster): Cluster => ({
  ...cluster,
  setOverrides: async (...asked) => {
    if (isDown) throw new ClusterError('CLUSTER_UNAVAILABLE', 'no answer');
    return cluster.setOverrides(...asked);
  },
});

const rollout = (more: object = {}, model: object = {}): Record<string, unknown> => ({
  ...withCandidate({
    traffic: undefined,
    rollout: { steps: [5, 50, 100], min_requests: 50, min_seconds: 10, ...more },
  }),
  ...model,
});

async function begin(
  definition: object,
  { manager = 'rest', ...options }: ServiceOptions & { readonly manager?: string } = {},
): Promise<void> {
  callers = 0;
  let now = (): number => T0;
  plane = createCallers(() => now());
  const { table, load } = plane;
  service = await serve({ ...options, more: { table, load, ...options.more } });
  now = () => service.clock.at;
  iris = `${service.url}/api/v1/models/iris`;
  await place(service, definition, manager);
  await service.control.tick();
}

/** Seconds with so many new callers each, until `done` is true. */
async function run(
  seconds: number,
  perSecond: number,
  done: () => boolean = () => false,
): Promise<number> {
  for (let second = 1; second <= seconds; second += 1) {
    for (let index = 0; index < perSecond; index += 1) plane.request(`caller-${(callers += 1)}`);
    service.clock.at += 1000;
    await service.control.tick();
    if (done()) return second;
  }
  return Infinity;
}

const share = (): number => shareIn(plane);
const status = async (): Promise<Record<string, unknown>> => (await ask(`${iris}/rollout`)).body;
const verdictOf = (body: Record<string, unknown>) => body['verdict'] as Record<string, unknown>;

describe('a candidate that fails', () => {
  test('is aborted within seconds, and only its callers noticed', async () => {
    await begin(rollout());
    expect(share()).toBe(5);
    plane.broken['next'] = 0.25;
    expect(await run(60, 200, () => share() === 0)).toBeLessThan(15);
    expect(plane.counts.broken).toBeLessThan(60);
    expect(await status()).toMatchObject({ phase: 'aborted', percent: 0, candidate: 'next' });
    expect(verdictOf(await status())).toMatchObject({ do: 'abort', gate: 'failed' });
    const before = { ...plane.tried };
    await run(5, 200);
    expect(plane.tried['next']).toBe(before['next']);
  });

  test('is aborted while the cluster stores nothing, and stored when it does again', async () => {
    await begin(rollout(), { wrap: storesUnlessDown });
    isDown = true;
    plane.broken['next'] = 0.4;
    expect(await run(60, 200, () => share() === 0)).toBeLessThan(6);
    isDown = false;
    await run(2, 1);
    const stored = service.cluster
      .watch(() => undefined)
      .snapshot()
      .models.get('iris')?.state;
    expect(stored?.rollout).toMatchObject({ phase: 'aborted' });
    expect(share()).toBe(0);
  });

  test('starts anew with other callers when a person resumes it', async () => {
    await begin(rollout());
    plane.broken['next'] = 1;
    await run(60, 200, () => share() === 0);
    await run(5, 1);
    expect(await status()).toMatchObject({ phase: 'aborted' });
    const { id } = await status();
    const salt = plane.table.current.models.get('iris')?.salt;
    expect((await ask(`${iris}/rollout/resume`, 'POST')).status).toBe(202);
    expect(await status()).toMatchObject({ phase: 'running', step: 1, percent: 5 });
    expect((await status())['id']).not.toBe(id);
    expect(plane.table.current.models.get('iris')?.salt).not.toBe(salt);
    expect(share()).toBe(5);
  });
});

test('most requests of a candidate fail at once: it is paused, then aborted by evidence', async () => {
  await begin(rollout());
  plane.broken['next'] = 1;
  const phases = new Set<unknown>();
  await run(1, 800);
  for (let second = 0; second < 100; second += 1) {
    phases.add((await status())['phase']);
    await run(1, 0);
  }
  expect([...phases]).toEqual(['paused', 'aborted']);
});

describe('a good candidate', () => {
  test('goes through its steps and is promoted', async () => {
    await begin(rollout());
    expect(await run(600, 100, () => share() === 50)).toBeLessThan(120);
    expect(await run(1200, 100, () => share() === 100)).toBeGreaterThan(10);
    await run(300, 20, () => plane.table.current.models.get('iris')?.arms.size === 1);
    const model = (await ask(iris)).body;
    expect(model).toMatchObject({ version: 'v2' });
    expect(model['candidates']).toBeUndefined();
    expect(await status()).toMatchObject({ phase: 'done' });
    expect(plane.counts.broken).toBe(0);
  });

  test('of a model that Git writes stays at 100 %: its definition has to follow', async () => {
    await begin(rollout({ min_requests: 5 }), { manager: 'argocd' });
    await run(2400, 50, () => share() === 100);
    await run(100, 50);
    expect(await status()).toMatchObject({ phase: 'done', percent: 100 });
    expect(verdictOf(await status())['reason']).toMatch(/argocd writes this model: give stable/);
    expect((await ask(iris)).body).toMatchObject({ version: 'v1' });
    expect(share()).toBe(100);
    // Git follows: stable takes the version, and the candidate keeps the callers meanwhile.
    await place(service, { ...withCandidate({ traffic: 100 }), version: 'v2' }, 'argocd');
    expect(share()).toBe(100);
    await run(3, 50);
    expect(share()).toBe(100);
    expect(await status()).toMatchObject({ phase: 'done' });
  });

  test('does not move without requests, or with requests that name no caller', async () => {
    await begin(rollout());
    await run(600, 0);
    expect(share()).toBe(5);
    for (let second = 0; second < 60; second += 1) {
      for (let index = 0; index < 50; index += 1) plane.request(undefined);
      await run(1, 0);
    }
    expect(await status()).toMatchObject({ step: 1, percent: 5, callers: 0, uncounted: 3000 });
    expect(verdictOf(await status())).toMatchObject({ do: 'hold' });
  });

  test('can be counted by request, drawn anew for each', async () => {
    await begin(rollout({ unit: 'request', steps: [20, 100] }));
    for (let index = 0; index < 500; index += 1) plane.request('one-caller');
    expect(plane.tried['next']).toBeGreaterThan(60);
    expect(plane.tried['next']).toBeLessThan(150);
    await run(2, 0);
    const [failed] = (await status())['gates'] as { candidate: { n: number } }[];
    expect(failed?.candidate.n).toBe(plane.tried['next']);
  });
});

describe('by hand', () => {
  test('a step is held, gone on with, skipped and aborted', async () => {
    await begin(rollout({ min_requests: 5 }));
    expect((await ask(`${iris}/rollout/hold`, 'POST')).status).toBe(202);
    await run(200, 50);
    expect(await status()).toMatchObject({ phase: 'held', step: 1, by: 'anonymous' });
    await ask(`${iris}/rollout/advance`, 'POST');
    expect(share()).toBe(50);
    await ask(`${iris}/rollout/abort`, 'POST');
    expect(share()).toBe(0);
    await run(5, 50);
    expect(await status()).toMatchObject({ phase: 'aborted', percent: 0 });
  });

  test('a larger share that the cluster cannot store is refused and not in force; an abort is', async () => {
    await begin(rollout(), { wrap: storesUnlessDown });
    isDown = true;
    const refused = await ask(`${iris}/rollout/advance`, 'POST');
    expect([refused.status, codeOf(refused)]).toEqual([503, 'CLUSTER_UNAVAILABLE']);
    await run(2, 10);
    expect(share()).toBe(5);
    await ask(`${iris}/rollout/abort`, 'POST');
    expect(share()).toBe(0);
    isDown = false;
    await run(2, 10);
    expect(await status()).toMatchObject({ phase: 'aborted', percent: 0 });
  });

  test('a general abort ends it, and it can begin again', async () => {
    await begin(rollout());
    await ask(`${iris}/abort`, 'POST');
    expect(share()).toBe(0);
    await run(3, 10);
    expect(await status()).toMatchObject({ phase: 'aborted' });
    await ask(`${iris}/rollout/resume`, 'POST');
    await run(1, 1);
    expect(share()).toBe(5);
  });

  test.each([
    ['hold', 'aborted'],
    ['advance', 'aborted'],
  ])('%s is refused when it is %s, with the way out', async (step) => {
    await begin(rollout());
    await ask(`${iris}/rollout/abort`, 'POST');
    const reply = await ask(`${iris}/rollout/${step}`, 'POST');
    expect([reply.status, codeOf(reply)]).toEqual([409, 'FIELD_CONFLICT']);
    expect(JSON.stringify(reply.body)).toMatch(/aborted; resume it first/);
  });

  test('is 404 where no rollout was seen', async () => {
    await begin(withCandidate());
    const replies = [await ask(`${iris}/rollout`), await ask(`${iris}/rollout/hold`, 'POST')];
    expect(replies.map(({ status: code }) => code)).toEqual([404, 404]);
    expect(JSON.stringify(replies[0]?.body)).toMatch(/give a candidate `rollout`/);
  });
});

describe('a new definition', () => {
  test('that does not concern the candidate leaves the rollout as it is', async () => {
    await begin(rollout());
    await run(20, 20);
    const { id } = await status();
    await ask(iris, 'PUT', { config: { inference: { max_concurrency: 20 } } });
    await run(2, 20);
    expect((await status())['id']).toBe(id);
    await place(service, rollout({}, { name: 'Iris' }), 'rest');
    expect(share()).toBe(5);
    await run(2, 20);
    expect((await status())['id']).toBe(id);
    expect(share()).toBe(5);
  });

  test('with another version of the candidate begins anew', async () => {
    await begin(rollout());
    plane.broken['next'] = 1;
    await run(60, 200, () => share() === 0);
    const { id } = await status();
    await place(service, rollout({}, { version: 'v1.1' }), 'rest');
    await run(1, 0);
    expect(await status()).toMatchObject({ phase: 'running', step: 1, percent: 5 });
    expect((await status())['id']).not.toBe(id);
  });
});
