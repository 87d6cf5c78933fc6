import {
  betaBinomialTail,
  isWorse,
  logGamma,
} from '../../../runtime/core/release/failure-comparison';
import type { Siblings, EjectionState } from '../../../runtime/core/routing/ejection';
import {
  recordFailure,
  recordSuccess,
  recordInconclusive,
  recordUnreachable,
  isProbeDue,
  isUnreachable,
  initialEjectionState,
  halfOpened,
  classifyResult,
} from '../../../runtime/core/routing/ejection';
import type { AttemptResult } from '../../../runtime/core/routing/outcome';

const NOW = 1_000_000;
const NONE = { requests: 0, failures: 0 };
const may: Siblings = { own: NONE, others: NONE, mayEject: true };
const MIDDLE = 0.5;

/** Fails until it is out, and asks how long. */
function outFor(state: EjectionState, now: number, random = MIDDLE): [EjectionState, number] {
  let next = state;
  for (let index = 0; index < 5; index += 1) next = recordFailure(next, now, random, () => may);
  if (next.kind !== 'ejected') throw new Error(`not ejected but ${next.kind}`);
  return [next, next.until - now];
}

describe('an ejection', () => {
  test('follows five failures in a row, not five with a success between', () => {
    let state = initialEjectionState(NOW);
    for (let index = 0; index < 4; index += 1) {
      state = recordFailure(state, NOW, MIDDLE, () => may);
    }
    expect(state.kind).toBe('healthy');
    state = recordFailure(recordSuccess(state, NOW), NOW, MIDDLE, () => may);
    expect(state).toMatchObject({ kind: 'healthy', failures: 1 });
    expect(outFor(initialEjectionState(NOW), NOW)[1]).toBe(1_000);
  });

  test('never takes the last replica, nor more than half', () => {
    let state = initialEjectionState(NOW);
    for (let index = 0; index < 50; index += 1) {
      state = recordFailure(state, NOW, MIDDLE, () => ({ ...may, mayEject: false }));
    }
    expect(state).toMatchObject({ kind: 'healthy', failures: 50 });
  });

  test('lasts twice as long after each failed probe, up to a minute', () => {
    let state = outFor(initialEjectionState(NOW), NOW)[0];
    const lengths: number[] = [];
    for (let index = 0; index < 8; index += 1) {
      state = recordFailure(halfOpened(state), NOW, MIDDLE, () => may);
      if (state.kind === 'ejected') lengths.push(state.until - NOW);
    }
    expect(lengths).toEqual([2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  });

  test('varies by a quarter, so that routers do not return together', () => {
    expect(outFor(initialEjectionState(NOW), NOW, 0)[1]).toBe(750);
    expect(outFor(initialEjectionState(NOW), NOW, 0.999999)[1]).toBeCloseTo(1_250, 1);
  });

  test('counts for a minute after the return', () => {
    const back = recordSuccess(halfOpened(outFor(initialEjectionState(NOW), NOW)[0]), NOW);
    expect(outFor(back, NOW + 1_000)[1]).toBe(2_000);
    expect(outFor(back, NOW + 60_000)[1]).toBe(1_000);
  });

  test('for refused connections lasts at most five seconds, whatever the siblings do', () => {
    let state = recordUnreachable(initialEjectionState(NOW), NOW, MIDDLE);
    expect(state).toMatchObject({ kind: 'ejected', until: NOW + 1_000, reason: 'unreachable' });
    for (let index = 0; index < 5; index += 1) {
      state = recordUnreachable(halfOpened(state), NOW, MIDDLE);
    }
    expect(state).toMatchObject({ kind: 'ejected', until: NOW + 5_000 });
    expect(isUnreachable(state)).toBe(true);
    // Requests that were under way say the same once more.
    expect(recordUnreachable(state, NOW + 10, MIDDLE)).toBe(state);
  });

  test('ends with one probe, whose result decides', () => {
    const [out, ms] = outFor(initialEjectionState(NOW), NOW);
    expect(isProbeDue(out, NOW + ms - 1)).toBe(false);
    expect(isProbeDue(out, NOW + ms)).toBe(true);
    const probing = halfOpened(out);
    expect(isProbeDue(probing, NOW + ms)).toBe(false);
    expect(recordSuccess(probing, NOW + ms)).toMatchObject({ kind: 'healthy', since: NOW + ms });
    expect(isProbeDue(recordInconclusive(probing, NOW + ms), NOW + ms)).toBe(true);
  });
});

test.each<[AttemptResult, string]>([
  [{ kind: 'answered', status: 200 }, 'success'],
  [{ kind: 'answered', status: 429 }, 'success'],
  [{ kind: 'answered', status: 500 }, 'success'],
  [{ kind: 'answered', status: 502 }, 'failure'],
  [{ kind: 'answered', status: 503 }, 'failure'],
  [{ kind: 'answered', status: 504 }, 'failure'],
  [{ kind: 'reset', message: '' }, 'failure'],
  [{ kind: 'protocol', message: '' }, 'failure'],
  [{ kind: 'timeout' }, 'failure'],
  [{ kind: 'unreached', message: '' }, 'unreachable'],
  [{ kind: 'aborted' }, 'inconclusive'],
  [{ kind: 'rejected', status: 400, error: new Error() }, 'inconclusive'],
])('%j is %s', (result, verdict) => {
  expect(classifyResult(result, { lagMs: 0, hadTime: true })).toBe(verdict);
});

test('a timeout during a stall of the router does not count against the replica', () => {
  expect(classifyResult({ kind: 'timeout' }, { lagMs: 101, hadTime: true })).toBe('inconclusive');
  expect(classifyResult({ kind: 'timeout' }, { lagMs: 0, hadTime: false })).toBe('inconclusive');
  expect(classifyResult({ kind: 'unreached', message: '' }, { lagMs: 101, hadTime: true })).toBe(
    'inconclusive',
  );
});

describe('comparison with the siblings', () => {
  test('has the right ln Γ for known values', () => {
    expect(logGamma(1)).toBeCloseTo(0, 8);
    expect(logGamma(0.5)).toBeCloseTo(Math.log(Math.sqrt(Math.PI)), 8);
    expect(logGamma(11)).toBeCloseTo(Math.log(3_628_800), 8);
  });

  test('has the tail of a Beta-Binomial equal to the sum', () => {
    // Beta(1, 1) makes every count equally likely: P(K ≥ 4 of 9) = 6 / 10.
    expect(betaBinomialTail(4, 9, 1, 1)).toBeCloseTo(0.6, 8);
    // P(all of 3) under Beta(2, 5) = (2·3·4) / (7·8·9).
    expect(betaBinomialTail(3, 3, 2, 5)).toBeCloseTo(24 / 504, 8);
    expect(betaBinomialTail(0, 3, 2, 5)).toBe(1);
  });

  test.each([
    [9, 20, 0, 20, true],
    [8, 20, 0, 20, false],
    [19, 19, 0, 100, false],
    [100, 1_000, 10, 1_000, true],
    [40, 1_000, 10, 1_000, false],
    [500, 1_000, 500, 1_000, false],
    [1_000, 1_000, 1_000, 1_000, false],
    [20, 20, 0, 0, false],
  ])('%i of %i against %i of %i is worse with %p', (own, ownAll, other, otherAll, worse) => {
    expect(
      isWorse({ requests: ownAll, failures: own }, { requests: otherAll, failures: other }),
    ).toBe(worse);
  });

  test('ejects a replica before five consecutive failures', () => {
    const own = { requests: 40, failures: 20 };
    const others = { requests: 40, failures: 0 };
    const after = recordFailure(initialEjectionState(NOW), NOW, MIDDLE, () => ({
      own,
      others,
      mayEject: true,
    }));
    expect(after.kind).toBe('ejected');
  });
});
