import type { KubeObject } from '../../../../runtime/cluster/kubernetes/client/api';
import { ModelIndex } from '../../../../runtime/cluster/kubernetes/cache/model-index';
import { slugByLabel } from '../../../../runtime/cluster/kubernetes/cache/slugs';
import type { WatchState } from '../../../../runtime/cluster/kubernetes/client/watch-loop';
import { phaseOf } from '../../../../runtime/cluster/kubernetes/cache/cluster-cache';

const pod = (name: string, model: string): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels: { 'ai-model.suoke.life/model': model } },
});
const view = (...pods: readonly KubeObject[]) =>
  new Map(pods.map((one) => [one.metadata.name, one]));

test('a new view reports only models with changed objects', () => {
  const shelf = new ModelIndex(slugByLabel);
  const [a, b] = [pod('a-1', 'a'), pod('b-1', 'b')];
  expect([...shelf.take(view(a, b))].sort()).toEqual(['a', 'b']);
  expect([...shelf.take(view(a, b))]).toEqual([]);
  expect([...shelf.take(view(a, pod('b-1', 'b')))]).toEqual(['b']);
  expect([...shelf.take(view(a, pod('b-1', 'b'), pod('a-2', 'a')))].sort()).toEqual(['a', 'b']);
  expect(shelf.of('a')).toHaveLength(2);
  expect([...shelf.take(view())].sort()).toEqual(['a', 'b']);
  expect(shelf.of('a')).toEqual([]);
});

test('an object that moves to another model changes both', () => {
  const shelf = new ModelIndex(slugByLabel);
  shelf.take(view(pod('x', 'a')));
  expect([...shelf.take(view(pod('x', 'b')))].sort()).toEqual(['a', 'b']);
  expect([shelf.of('a').length, shelf.of('b').length]).toEqual([0, 1]);
});

const known = { objects: new Map(), resourceVersion: '1', lastContactAt: 1 };
const STATES: Readonly<Record<string, WatchState>> = {
  empty: { phase: 'empty', failures: 1 },
  listing: { phase: 'listing', failures: 0, pages: new Map() },
  stale: { phase: 'stale', failures: 1, known, refresh: { kind: 'watching' } },
  synced: { phase: 'synced', failures: 0, known, since: 1 },
};

test.each([
  [['synced', 'synced'], 'synced'],
  [['synced', 'stale'], 'stale'],
  [['stale', 'listing'], 'listing'],
  [['synced', 'empty', 'listing'], 'empty'],
] as const)('watches that are %j are together %s', (phases, expected) => {
  expect(phaseOf(phases.map((phase) => STATES[phase] as WatchState))).toBe(expected);
});
