import type { Compare } from '../../../lib/spec';
import { differences } from '../../../runtime/data/shadow/compare';
import { readJson } from '../../../runtime/data/transcode/exact-json';

const RULES: Compare = { rel: 0.01 };

test.each<[string, unknown, unknown, Partial<Compare>, readonly string[]]>([
  ['equal numbers', 1, 1, {}, []],
  ['within the relative tolerance', 100, 100.9, {}, []],
  ['beyond it', 100, 102, {}, ['']],
  ['within the absolute tolerance', 0.0001, 0.0002, { abs: 0.001 }, []],
  ['NaN is NaN', NaN, NaN, {}, []],
  ['texts', 'a', 'b', {}, ['']],
  ['null and nothing', { a: null }, {}, {}, ['a']],
  ['a key more', {}, { a: 1 }, {}, ['a']],
  ['a list that is shorter', [1, 2], [1], {}, ['1']],
  ['a list and an object', [1], { 0: 1 }, {}, ['']],
  ['nested', { a: [{ b: 1 }] }, { a: [{ b: 2 }] }, {}, ['a.0.b']],
  ['labels are exact', { id: 1000 }, { id: 1001 }, { labels: ['id'] }, ['id']],
  ['labels below', { ids: [1000] }, { ids: [1001] }, { labels: ['ids'] }, ['ids.0']],
  ['only some paths', { a: 1, b: 1 }, { a: 1, b: 9 }, { paths: ['a'] }, []],
  ['a path that is missing', { a: 1 }, { b: 1 }, { paths: ['a'] }, ['a']],
  [
    'the order of the best',
    { x: 0.5, y: 0.3, z: 0.2 },
    { x: 0.6, y: 0.3, z: 0.1 },
    { topK: 2 },
    [],
  ],
  ['another order', { x: 0.5, y: 0.3 }, { x: 0.3, y: 0.5 }, { topK: 1 }, ['']],
])('%s', (_what, live, shadow, rules, differing) => {
  expect(differences(live, shadow, { ...RULES, ...rules })).toEqual(differing);
});

test('exact numbers are compared as numbers', () => {
  const live = readJson('{"p":1.0,"id":9007199254740993,"top":[1.0,0.5]}');
  const shadow = readJson('{"p":1,"id":9007199254740992,"top":[0.9,0.5]}');
  expect(differences(live, shadow, RULES)).toEqual(['top.0']);
  expect(differences(live, shadow, { ...RULES, labels: ['p', 'id'], topK: 1 })).toEqual(['id']);
});
