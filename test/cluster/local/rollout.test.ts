import fc from 'fast-check';
import type { Slot, RolloutStep } from '../../../runtime/cluster/local/rollout';
import { nextStep } from '../../../runtime/cluster/local/rollout';

const slot = (id: string, phase: Slot['phase'], current: boolean): Slot => ({ id, phase, current });

/** `rN`: new and ready, `sO`: old and starting, … */
const slots = (text: string): readonly Slot[] =>
  text
    .split(' ')
    .filter((one) => one !== '')
    .map((one, index) => {
      const phase = { r: 'ready', s: 'starting', f: 'failed', t: 'terminating' }[one[0] ?? ''];
      return slot(`${one}${index}`, phase as Slot['phase'], one[1] === 'N');
    });

const said = (step: RolloutStep): string => (step.do === 'stop' ? `stop ${step.id}` : step.do);

test.each([
  ['nothing runs', '', 2, 'start'],
  ['all is as wished', 'rN rN', 2, 'nothing'],
  ['a roll begins with one more', 'rO rO', 2, 'start'],
  ['no second one more before the first is ready', 'rO rO sN', 2, 'nothing'],
  ['an old one goes when a new one is ready', 'rO rO rN', 2, 'stop rO0'],
  ['one that goes counts no more', 'tO rO rN', 2, 'start'],
  ['an old one without requests goes first', 'rO fO rN', 2, 'stop fO1'],
  ['a new one that fails leaves the old ones alone', 'rO fN', 1, 'nothing'],
  ['a failed version makes place for the next one', 'rO fO', 1, 'stop fO1'],
  ['two broken old ones do not keep a good version out', 'fO fO rN', 2, 'stop fO0'],
  ['a broken old one stays until a new one is ready', 'fO sN', 1, 'nothing'],
  ['a half broken version makes place for the first new one', 'rO fO fO', 2, 'stop fO1'],
  ['fewer are wished: what starts goes before what serves', 'rN sN', 1, 'stop sN1'],
  ['none is wished', 'rO', 0, 'stop rO0'],
  ['more are wished', 'rN', 3, 'start'],
])('%s', (_, present, desired, step) => {
  expect(said(nextStep(slots(present), desired))).toBe(step);
});

const readyOf = (all: readonly Slot[]): number =>
  all.filter(({ phase }) => phase === 'ready').length;

const anySlots = fc.array(
  fc.record({
    id: fc.uuid(),
    phase: fc.constantFrom<Slot['phase']>('ready', 'starting', 'failed', 'terminating'),
    current: fc.boolean(),
  }),
  { maxLength: 6 },
);

test('every state reaches the desired one, and no step removes a needed replica', () => {
  const run = (start: readonly Slot[], desired: number): void => {
    let all = [...start];
    for (let count = 0; count < 100; count += 1) {
      const step = nextStep(all, desired);
      if (step.do === 'stop') {
        const ready = readyOf(all);
        all = all.filter(({ id }) => id !== step.id);
        expect(readyOf(all)).toBeGreaterThanOrEqual(Math.min(ready, desired));
      } else if (step.do === 'start') {
        all = [...all, slot(`new-${count}`, 'starting', true)];
        const live = all.filter(({ phase }) => phase !== 'terminating').length;
        expect(live).toBeLessThanOrEqual(desired + 1);
      } else {
        // New ones get ready in time; old ones stay as they are, which is the worst they can do.
        const waiting = all.find(({ current, phase }) => current && phase !== 'ready');
        if (waiting === undefined) break;
        all = all.map((one) => (one === waiting ? { ...one, phase: 'ready' } : one));
        if (waiting.phase === 'terminating') all = all.filter(({ id }) => id !== waiting.id);
      }
    }
    const live = all.filter(({ phase }) => phase !== 'terminating');
    expect(live).toHaveLength(desired);
    expect(live.every(({ current, phase }) => current && phase === 'ready')).toBe(true);
  };
  fc.assert(fc.property(anySlots, fc.integer({ min: 0, max: 4 }), run));
});
