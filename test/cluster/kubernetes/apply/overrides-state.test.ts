import type { OverridesState } from '../../../../runtime/cluster/kubernetes/apply/overrides-state';
import {
  isReconciled,
  NO_OVERRIDES,
  parseOverrides,
  overridesText,
  replaced,
  reconciled,
  started,
  overridesFor,
  withNext,
} from '../../../../runtime/cluster/kubernetes/apply/overrides-state';

const STOPPED = { hash: 'old', stopped: true } as const;
const ABORTED = { hash: 'old', shares: { v2: 0 } };
const NEXT = { hash: 'new', promote: { candidate: 'v2', phase: 'rolling' } } as const;

test('before a definition is replaced, both states stand side by side, each for its own', () => {
  const both = withNext({ states: [ABORTED] }, 'old', NEXT, 'new');
  expect(overridesFor(both, 'old')).toEqual(ABORTED);
  expect(overridesFor(both, 'new')).toEqual(NEXT);
  expect(reconciled(both, 'new')).toEqual({ states: [NEXT] });
  // It was not replaced after all.
  expect(reconciled(both, 'old')).toEqual({ states: [ABORTED] });
});

test('what a model of the same name left behind is nobody’s', () => {
  expect(withNext({ states: [STOPPED] }, undefined, undefined, 'new')).toEqual(NO_OVERRIDES);
});

test.each<readonly [string, OverridesState, OverridesState]>([
  ['a new definition', reconciled({ states: [STOPPED] }, 'new'), { states: [], starting: true }],
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
    reconciled({ states: [STOPPED, { hash: 'new', stopped: true }] }, 'new'),
    { states: [{ hash: 'new', stopped: true }] },
  ],
])('a stopped model is to be started by %s', (_, after, expected) => {
  expect(after).toEqual(expected);
});

test('one that is stopped while it starts stays stopped', () => {
  expect(replaced({ states: [], starting: true }, 'old', STOPPED)).toEqual({ states: [STOPPED] });
});

test('it is settled when only the present definition’s state is left', () => {
  expect(isReconciled({ states: [STOPPED] }, 'old')).toBe(true);
  expect(isReconciled({ states: [STOPPED] }, 'new')).toBe(false);
  expect(isReconciled({ states: [], starting: true }, 'new')).toBe(false);
  expect(isReconciled(started({ states: [], starting: true }), 'new')).toBe(true);
});

test('it is kept as text, and nothing is kept as nothing', () => {
  const both: OverridesState = { states: [ABORTED], starting: true };
  expect(parseOverrides(overridesText(both))).toEqual(both);
  expect(overridesText(NO_OVERRIDES)).toBeUndefined();
});

test.each(['', 'null', '[]', '7', '{', '{"states":3}', '{"states":[null,{"hash":4}]}'])(
  'what somebody edited into %j is nothing',
  (text) => {
    expect(parseOverrides(text)).toEqual(NO_OVERRIDES);
  },
);
