import type { ModelInput } from '../../../../lib/spec';
import type { Answer } from '../../service';
import { until } from '../../service';
import { kubectl } from './kubectl';
import type { Asked, Load } from './load';
import { steadyLoad } from './load';
import type { Place } from './place';
import { RATE } from './standin';

// What replicas go through while requests come at a steady rate: each request is answered.

const MODELS = '/api/v1/models';
const LABEL = 'ai-model.suoke.life/model';
/** A drain and its successor's start, of a server that takes its time for both. */
const LONG_MS = 240_000;

export interface Story {
  readonly place: Place;
  /** Version v1, three replicas. */
  readonly model: ModelInput;
  readonly asked: Asked;
}

const ok = (answer: Answer): void => {
  if (answer.status > 299) throw new Error(`${answer.status}: ${answer.text}`);
};

const running = ({ place, model }: Story, version: string): Promise<unknown> =>
  place.status(
    model.id,
    ({ status, version: seen, replicas, why }) =>
      status === 'running' && seen === version && replicas.ready === replicas.desired && !why,
    LONG_MS,
  );

const podsOf = async ({ place, model }: Story): Promise<string[]> =>
  (await place.kubectl('get', 'pods', '-l', `${LABEL}=${model.id}`, '-o', 'name'))
    .trim()
    .split('\n');

/** Until no pod of before is left: their last seconds are when requests are lost. */
const gone = (story: Story, old: readonly string[]): Promise<unknown> =>
  until(
    'the old pods',
    () => podsOf(story),
    (all) => !all.some((one) => old.includes(one)),
    LONG_MS,
  );

/** REST has no words for entry points and classes: Git gives them, and REST goes on from there. */
export async function deployed(story: Story): Promise<void> {
  const { place, model } = story;
  await place.applyModel(model);
  await running(story, model.version);
  await place.call('POST', `${MODELS}/deploy?force=true`, { config: model }).then(ok);
  await running(story, model.version);
}

export async function noneFailed(load: Load): Promise<void> {
  const { sent, rate, failed } = await load.stop();
  console.log(`${sent} requests, ${rate} a second, ${failed.length} failed`);
  expect(failed.slice(0, 5)).toEqual([]);
  expect(rate).toBeGreaterThan(RATE * 0.9);
}

/** Deploys the model, keeps the load on it as long as the story takes, and counts. */
export async function underLoad(story: Story, tell: () => Promise<void>): Promise<void> {
  await deployed(story);
  const load = steadyLoad(story.place, story.asked, RATE);
  try {
    await tell();
    await noneFailed(load);
  } finally {
    await load.stop();
  }
}

/** Replicas of another version take the place of the first ones. */
export async function update(story: Story): Promise<void> {
  const { place, model } = story;
  const old = await podsOf(story);
  ok(await place.call('PUT', `${MODELS}/${model.id}`, { config: { version: 'v2' } }));
  await running(story, 'v2');
  await gone(story, old);
}

/** To so many replicas and back to three. */
export async function scale(story: Story, replicas: number): Promise<void> {
  const { place, model } = story;
  ok(await place.call('POST', `${MODELS}/${model.id}/scale`, { replicas }));
  await place.status(model.id, (seen) => seen.replicas.ready === replicas, LONG_MS);
  ok(await place.call('POST', `${MODELS}/${model.id}/scale`, { replicas: 3 }));
  await until(
    'three pods',
    () => podsOf(story),
    (all) => all.length === 3,
    LONG_MS,
  );
}

/** A canary of three becomes the model; the next is given up. */
export async function promoteAndAbort(story: Story): Promise<void> {
  const { place, model } = story;
  const path = `${MODELS}/${model.id}`;
  const canary = async (version: string): Promise<void> => {
    const scaling = { min_replicas: 3, max_replicas: 3 };
    const candidates = [{ version, traffic: 20, scaling }];
    ok(await place.call('PUT', path, { config: { candidates } }));
    await place.status(model.id, ({ arms }) => arms[1]?.replicas.ready === 3, LONG_MS);
  };
  await canary('v2');
  const old = await podsOf(story);
  ok(await place.call('POST', `${path}/promote`, {}));
  await place.status(
    model.id,
    ({ arms, status }) => arms.length === 1 && arms[0]?.version === 'v2' && status === 'running',
    LONG_MS,
  );
  await gone(story, old);
  await canary('v3');
  ok(await place.call('POST', `${path}/abort`, {}));
  await place.status(model.id, ({ arms }) => arms[1]?.traffic === 0);
}

/** With one node there is nowhere to drain it to. */
export async function canDrain(): Promise<boolean> {
  const nodes = await kubectl(['get', 'nodes', '-o', 'name']);
  if (nodes.trim().split('\n').length > 1) return true;
  console.warn('one node: nowhere to drain it to, so it is not drained');
  return false;
}

/** The pods of one node are evicted, within the budget. */
export async function drain(story: Story): Promise<void> {
  const { place, model } = story;
  const nodeOf = (pod: string): Promise<string> =>
    place.kubectl('get', pod, '-o', 'jsonpath={.spec.nodeName}');
  const [first = ''] = await podsOf(story);
  const node = await nodeOf(first);
  // Its own pods only: the other suites live on that node as well.
  const selector = `${LABEL}=${model.id}`;
  const flags = ['--pod-selector', selector, '--delete-emptydir-data', '--timeout=240s'];
  try {
    await kubectl(['drain', node, ...flags]);
    await running(story, model.version);
    expect(await Promise.all((await podsOf(story)).map(nodeOf))).not.toContain(node);
  } finally {
    await kubectl(['uncordon', node]);
  }
}
