import { openKubernetes } from '../../../../runtime/cluster/kubernetes/client/client';
import type { KubeApi } from '../../../../runtime/cluster/kubernetes/client/api';
import { KubeError } from '../../../../runtime/cluster/kubernetes/client/api-error';
import { RESOURCES } from '../../../../runtime/cluster/kubernetes/client/resources';
import type {
  WatchLoop,
  WatchState,
} from '../../../../runtime/cluster/kubernetes/client/watch-loop';
import {
  lastContactAt,
  objectsIn,
  startWatchLoop,
} from '../../../../runtime/cluster/kubernetes/client/watch-loop';
import { VirtualTime } from '../../../core/virtual-time';
import type { ApiServer, Ask, Reply, Stream } from '../../../support/apiserver';
import { failure, startApiServer, statusOf, stopApiServers } from '../../../support/apiserver';
import { until } from '../../../support/plane';

const MINUTE = 60_000;

let time: VirtualTime;
let server: ApiServer;
let api: KubeApi;
let loop: WatchLoop;
let phases: WatchState['phase'][];
/** Is the server there? */
let checkApiserver: () => Promise<void>;

/** What the next list gives, and what the next watch says. */
let items: readonly object[];
let onWatch: () => Reply;

const pod = (name: string, resourceVersion = '1') => ({ metadata: { name, resourceVersion } });
const pods = (...names: readonly string[]) => names.map((name) => pod(name));

const isWatch = ({ query }: Ask): boolean => query.has('watch');
const lists = (): readonly Ask[] => server.seen.filter((ask) => !isWatch(ask));
const watches = (): readonly Ask[] => server.seen.filter(isWatch);
const names = (): readonly string[] => [...objectsIn(loop.state()).keys()];
const phase = (): string => loop.state().phase;
const isWaiting = (): boolean => {
  const state = loop.state();
  return state.phase === 'empty' || (state.phase === 'stale' && state.refresh.kind === 'waiting');
};

function current(): Stream {
  const stream = server.streams.at(-1);
  if (stream === undefined) throw new Error('there is no watch');
  return stream;
}

/** Pages as an API server cuts them; the token is where the next one begins. */
function listed({ query }: Ask): Reply {
  const from = Number(query.get('continue') ?? 0);
  const to = from + Number(query.get('limit'));
  const more = to < items.length && { continue: String(to) };
  const metadata = { resourceVersion: '100', ...more };
  return { kind: 'json', value: { metadata, items: items.slice(from, to) } };
}

async function begin(): Promise<void> {
  const timing = { now: () => time.now, after: time.after, random: () => 0.5 };
  ({ api } = await openKubernetes({ configPath: server.kubeconfig() }, timing));
  loop = startWatchLoop({
    api,
    resource: RESOURCES.Pod,
    namespace: 'models',
    labelSelector: 'app=x',
    timing,
    checkApiserver: () => checkApiserver(),
    onChange: (state) => {
      if (phases.at(-1) !== state.phase) phases.push(state.phase);
    },
  });
}

/** Begins, and waits until a watch stands. */
async function beginSynced(): Promise<void> {
  await begin();
  await watchStands(1);
}

async function watchStands(count: number): Promise<void> {
  await until(() => server.streams.length === count, `watch ${count}`);
  current().send('BOOKMARK', pod('', '101'));
  await until(
    () => phase() === 'synced' && lastContactAt(loop.state()) === time.now,
    'it is heard',
  );
}

beforeEach(async () => {
  time = new VirtualTime();
  phases = [];
  checkApiserver = async () => undefined;
  items = pods('a', 'b');
  onWatch = () => ({ kind: 'stream' });
  server = await startApiServer((ask) => (isWatch(ask) ? onWatch() : listed(ask)));
});

afterEach(async () => {
  loop.stop();
  api.close();
  await stopApiServers();
});

test('lists, then watches from there, and follows', async () => {
  await beginSynced();
  expect(phases).toEqual(['listing', 'synced']);
  expect(names()).toEqual(['a', 'b']);
  expect(lists()[0]?.query.toString()).toBe('limit=500&labelSelector=app%3Dx');
  expect(watches()[0]?.query.get('resourceVersion')).toBe('100');
  current().send('DELETED', pod('a', '102'));
  current().send('ADDED', pod('c', '103'));
  await until(() => names().join() === 'b,c', 'the events');
});

test('reads five thousand objects in ten pages, and shows them at once', async () => {
  items = pods(...Array.from({ length: 5_000 }, (_, index) => `pod-${index}`));
  await beginSynced();
  expect(lists()).toHaveLength(10);
  expect(objectsIn(loop.state()).size).toBe(5_000);
  expect(phases).toEqual(['listing', 'synced']);
});

test('continues after a clean end from the last event, without a gap or a list', async () => {
  await beginSynced();
  current().send('ADDED', pod('c', '150'));
  await until(() => names().includes('c'), 'the event');
  await time.run(MINUTE);
  current().end();
  await watchStands(2);
  expect(watches()[1]?.query.get('resourceVersion')).toBe('150');
  expect(phases).toEqual(['listing', 'synced']);
  expect(lists()).toHaveLength(1);
});

test('lists again after a 410 response, and drops deleted objects', async () => {
  await beginSynced();
  await time.run(MINUTE);
  items = pods('b');
  onWatch = () => {
    onWatch = () => ({ kind: 'stream' });
    return failure(410, 'Expired', 'too old resource version');
  };
  current().end();
  await watchStands(2);
  expect(names()).toEqual(['b']);
  expect(lists()).toHaveLength(2);
  expect(phases).toEqual(['listing', 'synced', 'stale', 'synced']);
});

test('lists again after a 410 event within a watch', async () => {
  await beginSynced();
  await time.run(MINUTE);
  items = pods('z');
  current().send('ERROR', statusOf(410, 'Expired', 'too old resource version'));
  await watchStands(2);
  expect(names()).toEqual(['z']);
  expect(lists()).toHaveLength(2);
});

test('notices a silent connection after 150 s; the view stays, and its age shows', async () => {
  await beginSynced();
  const heard = time.now;
  await time.run(149_999);
  expect(server.streams).toHaveLength(1);
  expect(phase()).toBe('synced');
  await time.run(1);
  expect(loop.state()).toMatchObject({ phase: 'stale', known: { lastContactAt: heard } });
  expect(names()).toEqual(['a', 'b']);
  await watchStands(2);
  expect(server.streams[0]?.isOpen()).toBe(false);
  expect(lists()).toHaveLength(1);
});

test('tolerates ten minutes with bookmarks a minute apart', async () => {
  await beginSynced();
  for (let minute = 1; minute <= 10; minute += 1) {
    await time.run(MINUTE);
    current().send('BOOKMARK', pod('', String(200 + minute)));
    await until(() => lastContactAt(loop.state()) === time.now, 'the bookmark');
    if (minute % 5 !== 0) continue;
    // As a server does after the time it was asked for.
    current().end();
    await until(() => server.streams.length === 1 + minute / 5, 'the next watch');
  }
  expect(server.streams).toHaveLength(3);
  expect(lists()).toHaveLength(1);
  expect(phases).toEqual(['listing', 'synced']);
});

test('detects a hung server long before the watch times out', async () => {
  await beginSynced();
  let asked = 0;
  checkApiserver = async () => void (asked += 1);
  await time.run(20_000);
  expect(asked).toBe(1);
  expect(phase()).toBe('synced');
  checkApiserver = () => Promise.reject(new KubeError('timeout', 'no answer in 5 s'));
  await time.run(15_000);
  expect(phase()).toBe('stale');
  expect(loop.state().fault?.message).toBe('no answer in 5 s');
  expect(names()).toEqual(['a', 'b']);
  checkApiserver = async () => undefined;
  await time.run(2000);
  await watchStands(2);
  expect(lists()).toHaveLength(1);
});

test('does not check the server while events arrive', async () => {
  await beginSynced();
  checkApiserver = () => Promise.reject(new KubeError('timeout', 'no answer in 5 s'));
  for (let step = 1; step <= 6; step += 1) {
    await time.run(10_000);
    current().send('BOOKMARK', pod('', String(200 + step)));
    await until(() => lastContactAt(loop.state()) === time.now, 'the bookmark');
  }
  expect(phases).toEqual(['listing', 'synced']);
});

test('reopens a reset connection after a pause, from its last version', async () => {
  await beginSynced();
  await time.run(MINUTE);
  current().reset();
  await until(isWaiting, 'it noticed');
  expect(server.streams).toHaveLength(1);
  expect(names()).toEqual(['a', 'b']);
  await time.run(2_000);
  await watchStands(2);
  expect(watches()[1]?.query.get('resourceVersion')).toBe('101');
  expect(lists()).toHaveLength(1);
});

test('waits for the Retry-After of a 429', async () => {
  await beginSynced();
  await time.run(MINUTE);
  onWatch = () => failure(429, 'TooManyRequests', 'slow down', {}, { 'retry-after': '20' });
  current().end();
  await until(isWaiting, 'the refusal');
  const asked = server.seen.length;
  onWatch = () => ({ kind: 'stream' });
  await time.run(19_999);
  expect(server.seen).toHaveLength(asked);
  await time.run(3_000);
  await watchStands(2);
  expect(lists()).toHaveLength(1);
});

test('keeps the last view for five minutes without an API server, with few attempts', async () => {
  await beginSynced();
  await time.run(MINUTE);
  const heard = lastContactAt(loop.state());
  const from = time.now;
  await server.stop();
  let tries = 0;
  while (time.now - from < 5 * MINUTE) {
    await until(isWaiting, 'a try that failed');
    tries += 1;
    expect(names()).toEqual(['a', 'b']);
    expect(lastContactAt(loop.state())).toBe(heard);
    await untilDue();
  }
  // 1.5, 2.5, 4.5, 8.5 s, then about 15 s each.
  expect(tries).toBeGreaterThan(10);
  expect(tries).toBeLessThan(30);
  await until(isWaiting, 'the last try');
  await server.start();
  await untilDue();
  await watchStands(2);
  expect(phases).toEqual(['listing', 'synced', 'stale', 'synced']);
});

/** Lets time go until the pause is over. */
async function untilDue(): Promise<void> {
  const waiting = loop.state();
  for (let left = 300; loop.state() === waiting; left -= 1) {
    if (left === 0) throw new Error('the pause does not end');
    await time.run(500);
  }
}

test('has an empty view until the first list', async () => {
  await server.stop();
  await begin();
  await until(() => loop.state().failures === 1, 'the first try');
  expect(loop.state()).toMatchObject({ phase: 'empty', fault: { kind: 'network' } });
  expect(lastContactAt(loop.state())).toBeUndefined();
  await server.start();
  await untilDue();
  await watchStands(1);
  expect(phases).toEqual(['listing', 'empty', 'listing', 'synced']);
});

test('has one watch open at most, and none after the stop', async () => {
  await beginSynced();
  for (let count = 2; count < 5; count += 1) {
    await time.run(150_000);
    await watchStands(count);
  }
  await until(() => server.streams.filter((one) => one.isOpen()).length === 1, 'one is open');
  loop.stop();
  await until(() => !server.streams.some((one) => one.isOpen()), 'none is open');
  expect(time.pending()).toBe(0);
  await time.run(10 * MINUTE);
  expect(server.streams).toHaveLength(4);
});
