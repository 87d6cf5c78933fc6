import type { Remembered } from '../../../../runtime/cluster/kubernetes/apply/overrides-state';
import {
  isSettled,
  NOTHING_REMEMBERED,
  parseRemembered,
  rememberedText,
  replaced,
  settled,
  started,
  stateFor,
  withNext,
} from '../../../../runtime/cluster/kubernetes/apply/overrides-state';

const STOPPED = { hash: 'old', stopped: true } as const;
const ABORTED = { hash: 'old', shares: { v2: 0 } };
const NEXT = { hash: 'new', promote: { candidate: 'v2', phase: 'rolling' } } as const;

test('before a definition is replaced, both states stand side by side, each for its own', () => {
  const both = withNext({ states: [ABORTED] }, 'old', NEXT, 'new');
  expect(stateFor(both, 'old')).toEqual(ABORTED);
  expect(stateFor(both, 'new')).toEqual(NEXT);
  expect(settled(both, 'new')).toEqual({ states: [NEXT] });
  // It was not replaced after all.
  expect(settled(both, 'old')).toEqual({ states: [ABORTED] });
});

test('what a model of the same name left behind is nobody’s', () => {
  expect(withNext({ states: [STOPPED] }, undefined, undefined, 'new')).toEqual(NOTHING_REMEMBERED);
});

test.each<readonly [string, Remembered, Remembered]>([
  ['a new definition', settled({ states: [STOPPED] }, 'new'), { states: [], starting: true }],
  ['a word', replaced({ states: [STOPPED] }, 'old', undefined), { states: [], starting: true }],
  [
    'another state',
    replaced({ states: [STOPPED] }, 'old', ABORTED),
    { states: [ABORTED], starting: true },
  ],
  [
    'the same definition with other files',
    withNext({ states: [STOPPED] }, 'old', undefined, 'old'),
    { states: [], starting: true },
  ],
  [
    'no definition that is stopped, too',
    settled({ states: [STOPPED, { hash: 'new', stopped: true }] }, 'new'),
    { states: [{ hash: 'new', stopped: true }] },
  ],
])('a stopped model is to be started by %s', (_, after, expected) => {
  expect(after).toEqual(expected);
});

test('one that is stopped while it starts stays stopped', () => {
  expect(replaced({ states: [], starting: true }, 'old', STOPPED)).toEqual({ states: [STOPPED] });
});

test('it is settled when only the present definition’s state is left', () => {
  expect(isSettled({ states: [STOPPED] }, 'old')).toBe(true);
  expect(isSettled({ states: [STOPPED] }, 'new')).toBe(false);
  expect(isSettled({ states: [], starting: true }, 'new')).toBe(false);
  expect(isSettled(started({ states: [], starting: true }), 'new')).toBe(true);
});

test('it is kept as text, and nothing is kept as nothing', () => {
  const both: Remembered = { states: [ABORTED], starting: true };
  expect(parseRemembered(rememberedText(both))).toEqual(both);
  expect(rememberedText(NOTHING_REMEMBERED)).toBeUndefined();
});

test.each(['', 'null', '[]', '7', '{', '{"states":3}', '{"states":[null,{"hash":4}]}'])(
  'what somebody edited into %j is nothing',
  (text) => {
    expect(parseRemembered(text)).toEqual(NOTHING_REMEMBERED);
  },
);
