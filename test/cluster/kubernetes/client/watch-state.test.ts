import type { KubeList, KubeObject } from '../../../../runtime/cluster/kubernetes/client/api';
import { KubeError } from '../../../../runtime/cluster/kubernetes/client/api-error';
import type {
  WatchInput,
  WatchStep,
  WatchState,
} from '../../../../runtime/cluster/kubernetes/client/watch-state';
import { INITIAL_STATE, step } from '../../../../runtime/cluster/kubernetes/client/watch-state';

const pod = (name: string, resourceVersion = '1'): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, resourceVersion },
});

const page = (names: readonly string[], more: Partial<KubeList> = {}): WatchInput => ({
  kind: 'page',
  page: { items: names.map((name) => pod(name)), resourceVersion: '10', ...more },
});

const failed = (status: number, retryAfterSeconds?: number): WatchInput => ({
  kind: 'failed',
  error: new KubeError(status === 0 ? 'network' : 'status', 'x', { status, retryAfterSeconds }),
});

const DUE: WatchInput = { kind: 'due' };
const OPENED: WatchInput = { kind: 'events', events: [{ type: 'OPENED' }] };
const ENDED: WatchInput = { kind: 'ended' };

/** Goes through inputs; each a second after the one before, unless it says how many. */
function go(
  from: WatchState,
  inputs: readonly (WatchInput | readonly [number, WatchInput])[],
  random = 0.5,
): WatchStep & { readonly now: number } {
  let now = 1_000_000;
  let last: WatchStep = { state: from };
  for (const one of inputs) {
    const [seconds, input] = 'kind' in one ? ([1, one] as const) : one;
    now += seconds * 1000;
    last = step(last.state, input, { now, random });
  }
  return { ...last, now };
}

const names = (state: WatchState): readonly string[] =>
  'known' in state ? [...state.known.objects.keys()] : [];

const synced = go(INITIAL_STATE, [DUE, page(['a', 'b']), OPENED]).state;

test('lists page by page, and only the last page makes a view', () => {
  const first = go(INITIAL_STATE, [DUE]);
  expect(first).toMatchObject({ state: { phase: 'listing' }, action: { kind: 'list' } });
  const second = go(first.state, [page(['a'], { continue: 'more' })]);
  expect(second).toMatchObject({
    state: { phase: 'listing' },
    action: { kind: 'list', continue: 'more' },
  });
  const last = go(second.state, [page(['b'])]);
  expect(last).toMatchObject({
    state: { phase: 'synced', known: { resourceVersion: '10', lastContactAt: last.now } },
    action: { kind: 'watch', resourceVersion: '10', timeoutSeconds: 300 },
  });
  expect(names(last.state)).toEqual(['a', 'b']);
});

test('watches for five minutes, plus or minus a fifth', () => {
  const seconds = (random: number) => go(INITIAL_STATE, [DUE, page([])], random).action;
  expect(seconds(0)).toMatchObject({ timeoutSeconds: 240 });
  expect(seconds(0.999999)).toMatchObject({ timeoutSeconds: 360 });
});

test('applies events to the view and to the next resourceVersion', () => {
  const { state } = go(synced, [
    { kind: 'events', events: [{ type: 'ADDED', object: pod('c', '11') }] },
    { kind: 'events', events: [{ type: 'DELETED', object: pod('a', '12') }] },
    { kind: 'events', events: [{ type: 'MODIFIED', object: pod('b', '13') }] },
    { kind: 'events', events: [{ type: 'BOOKMARK', resourceVersion: '20' }] },
  ]);
  expect(names(state)).toEqual(['b', 'c']);
  expect(state).toMatchObject({ phase: 'synced', known: { resourceVersion: '20' } });
});

test('never changes an earlier view', () => {
  const before = names(synced);
  go(synced, [{ kind: 'events', events: [{ type: 'DELETED', object: pod('a') }] }]);
  expect(names(synced)).toEqual(before);
});

test('continues at once after a normal end, and the view stays current', () => {
  const after = go(synced, [
    { kind: 'events', events: [{ type: 'BOOKMARK', resourceVersion: '30' }] },
    [300, ENDED],
  ]);
  expect(after).toMatchObject({
    state: { phase: 'synced', failures: 0 },
    action: { kind: 'watch', resourceVersion: '30' },
  });
});

test('pauses after watches that keep ending at once', () => {
  const first = go(synced, [ENDED]);
  expect(first).toMatchObject({ state: { phase: 'stale' }, action: { kind: 'wait', ms: 1_500 } });
  const second = go(first.state, [DUE, OPENED, ENDED]);
  expect(second).toMatchObject({ state: { failures: 2 }, action: { kind: 'wait', ms: 2_500 } });
});

test('makes the view stale after a broken connection, and continues from its version', () => {
  const broken = go(synced, [[60, failed(0)]]);
  expect(broken).toMatchObject({
    state: { phase: 'stale', failures: 1 },
    action: { kind: 'wait' },
  });
  expect(names(broken.state)).toEqual(['a', 'b']);
  const again = go(broken.state, [DUE]);
  expect(again).toMatchObject({
    state: { phase: 'stale' },
    action: { kind: 'watch', resourceVersion: '10' },
  });
  expect(go(again.state, [OPENED]).state).toMatchObject({ phase: 'synced' });
});

test('pauses between one second and half a minute', () => {
  const pauses = (random: number): readonly unknown[] => {
    let { state } = go(synced, [[60, failed(0)]], random);
    return [1, 2, 3, 4, 5, 6, 7, 8].map(() => {
      const next = go(state, [DUE, failed(0)], random);
      state = next.state;
      return next.action?.kind === 'wait' ? Math.round(next.action.ms / 1000) : next.action;
    });
  };
  expect(pauses(0)).toEqual([1, 1, 1, 1, 1, 1, 1, 1]);
  expect(pauses(0.999999)).toEqual([4, 8, 16, 30, 30, 30, 30, 30]);
});

test('forgets earlier failures after a watch that lasted', () => {
  const { state } = go(synced, [failed(0), DUE, failed(0), DUE, OPENED]);
  expect(state.failures).toBe(2);
  expect(go(state, [[60, failed(0)]]).state.failures).toBe(1);
});

test('waits as long as the server asks, within a bound', () => {
  expect(go(synced, [[60, failed(429, 20)]], 0).action).toEqual({ kind: 'wait', ms: 20_000 });
  expect(go(synced, [[60, failed(429, 3600)]], 0).action).toEqual({ kind: 'wait', ms: 120_000 });
});

test('continues the watch after 429; lists again after any other status', () => {
  expect(go(synced, [[60, failed(429)], DUE]).action?.kind).toBe('watch');
  for (const status of [400, 403, 500, 504])
    expect(go(synced, [[60, failed(status)], DUE]).action?.kind).toBe('list');
});

test('lists at once after 410, but not twice without a pause', () => {
  const first = go(synced, [[60, failed(410)]]);
  expect(first).toMatchObject({ state: { phase: 'stale' }, action: { kind: 'list' } });
  const second = go(first.state, [page(['c']), failed(410)]);
  expect(second.action?.kind).toBe('wait');
  expect(go(second.state, [DUE]).action).toEqual({ kind: 'list' });
});

test('keeps the old view during a list, then replaces it whole', () => {
  const half = go(synced, [[60, failed(410)], page(['c'], { continue: 'more' })]);
  expect(half.state.phase).toBe('stale');
  expect(names(half.state)).toEqual(['a', 'b']);
  expect(names(go(half.state, [page(['d'])]).state)).toEqual(['c', 'd']);
});

test('starts the list again when a page expires', () => {
  const half = go(INITIAL_STATE, [DUE, page(['old'], { continue: 'more' }), failed(410)]);
  expect(half.action).toEqual({ kind: 'list' });
  expect(names(go(half.state, [page(['new'])]).state)).toEqual(['new']);
});

test('is empty without a first list, and retries', () => {
  const refused = go(INITIAL_STATE, [DUE, failed(403)]);
  expect(refused).toMatchObject({
    state: { phase: 'empty', fault: { status: 403 } },
    action: { kind: 'wait' },
  });
  expect(go(refused.state, [DUE]).action).toEqual({ kind: 'list' });
});

test('makes the view stale after silence, and opens a new watch at once', () => {
  const silent = go(synced, [[150, { kind: 'silence' }]]);
  expect(silent).toMatchObject({
    state: { phase: 'stale', fault: { kind: 'timeout' } },
    action: { kind: 'watch', resourceVersion: '10' },
  });
  expect(names(silent.state)).toEqual(['a', 'b']);
});
