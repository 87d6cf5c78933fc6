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

test('before a definition is replaced, both overrides are stored, each for its own definition', () => {
  const both = withNext({ states: [ABORTED] }, 'old', NEXT, 'new');
  expect(overridesFor(both, 'old')).toEqual(ABORTED);
  expect(overridesFor(both, 'new')).toEqual(NEXT);
  expect(reconciled(both, 'new')).toEqual({ states: [NEXT] });
  // It was not replaced after all.
  expect(reconciled(both, 'old')).toEqual({ states: [ABORTED] });
});

test('overrides of an earlier model of the name are dropped', () => {
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
])('a stopped model is started by %s', (_, after, expected) => {
  expect(after).toEqual(expected);
});

test('a model that is stopped during its start stays stopped', () => {
  expect(replaced({ states: [], starting: true }, 'old', STOPPED)).toEqual({ states: [STOPPED] });
});

test('work is done when only the overrides of the present definition are left', () => {
  expect(isReconciled({ states: [STOPPED] }, 'old')).toBe(true);
  expect(isReconciled({ states: [STOPPED] }, 'new')).toBe(false);
  expect(isReconciled({ states: [], starting: true }, 'new')).toBe(false);
  expect(isReconciled(started({ states: [], starting: true }), 'new')).toBe(true);
});

test('overrides are stored as text, and none as no text', () => {
  const both: OverridesState = { states: [ABORTED], starting: true };
  expect(parseOverrides(overridesText(both))).toEqual(both);
  expect(overridesText(NO_OVERRIDES)).toBeUndefined();
});

test.each(['', 'null', '[]', '7', '{', '{"states":3}', '{"states":[null,{"hash":4}]}'])(
  'an edited text %j reads as no overrides',
  (text) => {
    expect(parseOverrides(text)).toEqual(NO_OVERRIDES);
  },
);
