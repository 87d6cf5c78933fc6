import { buildTable } from '../../../runtime/core/routing/build-table';
import type { CallOptions, UpstreamContext } from '../../../runtime/data/upstream/call';
import { CallerSignal } from '../../../runtime/data/http/server/caller-signal';
import type { BatchMember, Job } from '../../../runtime/data/dispatch/job';
import type { BatchReport } from '../../../runtime/data/batching/batcher';
import { createBatcher } from '../../../runtime/data/batching/batcher';
import type { BatchableRequest } from '../../../runtime/data/batching/batched-call';
import { keyOf } from '../../../runtime/data/batching/splice';
import { spliceNative } from '../../../runtime/data/batching/splice-native';
import { BATCH_CODECS } from '../../../runtime/data/batching/codecs';
import { DEFAULT_LIMITS } from '../../../runtime/data';
import { DEFAULT_RULES } from '../../../runtime/data/upstream/headers';
import { recordOf, snapshotOf } from '../../core/support';

// The batcher by itself: what happens within one turn of the event loop cannot be told by sockets.

const inference = { batching: { maxSize: 8, maxDelayMs: 0, rowsIndependent: true } };
const model = buildTable(snapshotOf(recordOf({ input: { inference } })), 1).models.get('iris');

function setUp() {
  const started: Job[] = [];
  const joined: BatchReport[] = [];
  const dispatcher = {
    start: (job: Job) => void started.push(job),
    plan: () => undefined,
    poisonedMs: () => 0,
  };
  const upstream = { send: () => undefined, close: () => undefined };
  const calling: UpstreamContext = {
    dispatcher,
    upstream,
    limits: DEFAULT_LIMITS,
    rules: DEFAULT_RULES,
  };
  const clock = { now: () => 1000, setTimeout: () => () => undefined };
  const batcher = createBatcher({
    calling,
    clock,
    onBatch: (one) => joined.push(one),
    random: () => 0.999,
    mayCompare: () => false,
  });
  return { batcher, started, joined };
}

function baseOf(): CallOptions {
  if (model === undefined) throw new Error('it is in the table');
  const signal = new CallerSignal();
  return { model, priority: 'normal', timeoutMs: 30_000, items: 1, signal, headers: '' };
}

function requestOf(bytes = 2): BatchableRequest {
  const splice = spliceNative('{}');
  return {
    key: keyOf(splice),
    splice,
    bytes,
    codec: BATCH_CODECS.native,
    target: '/batch_inference',
    headers: '',
  };
}

function memberOf(ends: string[], deadline = 31_000) {
  const arm = model?.arms.get('stable');
  if (arm === undefined) throw new Error('it has an arm');
  const told: BatchMember = {
    arm,
    deadline,
    onCallerGone: () => undefined,
    deliver: () => ends.push('given'),
    fail: () => ends.push('failed'),
    sendAlone: (admitted) => ends.push(admitted ? 'alone in front' : 'alone'),
  };
  return told;
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

test('without a delay, requests of one turn of the event loop are joined', async () => {
  const { batcher, started } = setUp();
  const ends: string[] = [];
  for (let at = 0; at < 3; at += 1) batcher.enqueue(baseOf(), memberOf(ends), () => requestOf());
  expect(started).toEqual([]);
  await nextTurn();
  expect(started).toMatchObject([{ items: 3, isBatchCall: true, arm: 'stable' }]);
  batcher.enqueue(baseOf(), memberOf(ends), () => requestOf());
  await nextTurn();
  expect(started).toHaveLength(1);
  expect(ends).toEqual(['alone']);
});

test('a joined call has the earliest deadline of its members', async () => {
  const { batcher, started } = setUp();
  for (const deadline of [31_000, 30_900, 30_950]) {
    batcher.enqueue(baseOf(), memberOf([], deadline), () => requestOf());
  }
  await nextTurn();
  expect(started[0]?.timeoutMs).toBe(29_900);
});

test('requests with deadlines far apart are not joined', async () => {
  const { batcher, started } = setUp();
  for (const deadline of [31_000, 11_000, 30_000, 11_500]) {
    batcher.enqueue(baseOf(), memberOf([], deadline), () => requestOf());
  }
  await nextTurn();
  expect(started.map(({ timeoutMs }) => timeoutMs)).toEqual([29_000, 10_000]);
});

test('a request that cannot be joined is sent at once, and does not count', () => {
  const { batcher, joined } = setUp();
  const ends: string[] = [];
  batcher.enqueue(baseOf(), memberOf(ends), () => undefined);
  expect(ends).toEqual(['alone']);
  expect(joined).toEqual([]);
});

test('a full call does not wait for the end of the turn', () => {
  const { batcher, started } = setUp();
  for (let at = 0; at < 8; at += 1) batcher.enqueue(baseOf(), memberOf([]), () => requestOf());
  expect(started).toMatchObject([{ items: 8 }]);
});

test('a joined call is not larger than the largest body that the model takes', async () => {
  const { batcher, started } = setUp();
  const most = model?.inference.maxBodyBytes ?? 0;
  for (const bytes of [most / 2, most / 2, 1, 1]) {
    batcher.enqueue(baseOf(), memberOf([]), () => requestOf(bytes));
  }
  expect(started).toMatchObject([{ items: 2 }]);
  await nextTurn();
  expect(started).toMatchObject([{ items: 2 }, { items: 2 }]);
});

test('a request that cannot be transcoded for the server is handled alone, and refused with the reason', () => {
  const { batcher } = setUp();
  const ends: string[] = [];
  batcher.enqueue(baseOf(), memberOf(ends), () => {
    throw new Error('no words');
  });
  expect(ends).toEqual(['alone']);
});
