import { parseSelector, selects } from '../../../runtime/core/lifecycle/label-selector';

const LABELS = { 'ai-model.suoke.life/model': 'iris', arm: 'stable', empty: '' };

test.each([
  ['', true],
  ['arm=stable', true],
  ['arm==stable', true],
  ['arm=next', false],
  ['arm!=next', true],
  ['arm!=stable', false],
  ['other!=x', true],
  ['ai-model.suoke.life/model=iris,arm=stable', true],
  ['ai-model.suoke.life/model=iris,arm=next', false],
  [' arm = stable , empty= ', true],
  ['arm in (next, stable)', true],
  ['arm in (next)', false],
  ['arm notin (next,other),arm', true],
  ['arm notin (stable)', false],
  ['other notin (x)', true],
  ['other in (x)', false],
  ['arm', true],
  ['other', false],
  ['!other', true],
  ['!arm', false],
])('"%s" matches: %s', (text, expected) => {
  const selector = parseSelector(text);
  expect(selector.ok && selects(selector.requirements, LABELS)).toBe(expected);
});

test.each([
  ['arm=a b', 'arm=a b'],
  ['arm=stable,,x', ''],
  ['arm in stable', 'arm in stable'],
  ['arm in (a', 'arm in (a'],
  ['=x', '=x'],
  ['arm>3', 'arm>3'],
  ['arm in (ä)', 'arm in (ä)'],
])('"%s" is refused, with the invalid part', (text, part) => {
  const selector = parseSelector(text);
  expect(selector).toMatchObject({ ok: false });
  expect(!selector.ok && selector.message).toContain(`got "${part}"`);
});

test('a selector has a length limit', () => {
  expect(parseSelector('a'.repeat(5000))).toEqual({
    ok: false,
    message: 'got 5000 characters, must be ≤ 4096',
  });
});
