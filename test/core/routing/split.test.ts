import * as fc from 'fast-check';
import type { Credits } from '../../../runtime/core/routing/split';
import {
  ALL_TRAFFIC,
  chooseArm,
  cohortHash,
  explainArm,
  murmur3,
  nextRoundRobin,
  NO_CREDITS,
  utf8,
} from '../../../runtime/core/routing/split';
import type { Share } from '../../../runtime/core/routing/table';
import { anyText } from '../../support/texts';
import { rounds } from '../../support/rounds';

function sharesOf(...percents: readonly number[]): readonly Share[] {
  const given = percents.map((percent) => Math.round(percent * 100));
  const left = ALL_TRAFFIC - given.reduce((sum, one) => sum + one, 0);
  const names = ['a', 'b'];
  return [
    { arm: 'stable', hundredths: left },
    ...given.map((hundredths, index) => ({ arm: names[index] ?? '', hundredths })),
  ];
}

const routeOf = (shares: readonly Share[], salt = 'iris') => ({ shares, salt });

const twoShares = fc
  .tuple(fc.integer({ min: 0, max: ALL_TRAFFIC }), fc.integer({ min: 0, max: ALL_TRAFFIC }))
  .map(([a, b]) => [Math.min(a, b) / 100, (ALL_TRAFFIC - Math.max(a, b)) / 100] as const);

describe('murmur3', () => {
  // The published vectors of MurmurHash3_x86_32.
  test.each([
    ['', 0, 0],
    ['', 1, 0x514e28b7],
    ['', 0xffffffff, 0x81f16f39],
    ['a', 0x9747b28c, 0x7fa09ea6],
    ['aa', 0x9747b28c, 0x5d211726],
    ['aaa', 0x9747b28c, 0x283e0130],
    ['aaaa', 0x9747b28c, 0x5a97808a],
    ['abc', 0, 0xb3dd93fa],
    ['test', 0, 0xba6bd213],
    ['Hello, world!', 0, 0xc0363e43],
    ['Hello, world!', 0x9747b28c, 0x24884cba],
    ['The quick brown fox jumps over the lazy dog', 0, 0x2e4ff723],
    ['ππππππππ', 0x9747b28c, 0xd58063c1],
  ])('hashes %j with seed %i as published', (text, seed, hash) => {
    expect(murmur3(utf8(text), seed)).toBe(hash >>> 0);
  });

  test('treats UTF-8 as the platform does, lone surrogates included', () => {
    fc.assert(
      fc.property(fc.oneof(anyText, loneSurrogates), (text) => {
        expect([...utf8(text)]).toEqual([...new TextEncoder().encode(text)]);
      }),
    );
  });

  const loneSurrogates = fc
    .array(fc.integer({ min: 0xd7f0, max: 0xe010 }), { maxLength: 6 })
    .map((units) => String.fromCharCode(...units));
});

describe('cohorts', () => {
  test('keep the position of a key between releases', () => {
    // Changing these moves every caller of every experiment.
    expect(cohortHash('deep_tcm_diagnosis', 'user-1')).toBe(1_408_561_521);
    expect(cohortHash('deep_tcm_diagnosis', '患者42')).toBe(116_378_253);
  });

  test('keep every caller on the candidate while its share grows', () => {
    fc.assert(
      fc.property(twoShares, twoShares, fc.string(), ([a1, b1], [a2, b2], key) => {
        const before = explainArm(routeOf(sharesOf(a1, b1)), key).arm;
        const after = explainArm(routeOf(sharesOf(a2, b2)), key).arm;
        if (before === 'a' && a2 >= a1) expect(after).toBe('a');
        if (before === 'b' && b2 >= b1) expect(after).toBe('b');
      }),
      { numRuns: rounds(500) },
    );
  });

  test('give the first candidate the low end, the second the high end', () => {
    const route = routeOf(sharesOf(30, 20));
    const found = Array.from({ length: 500 }, (_, index) => explainArm(route, `user-${index}`));
    for (const choice of found) {
      if (choice.reason !== 'cohort') throw new Error('not chosen by cohort');
      const { position, arm, interval } = choice;
      expect(arm).toBe(position < 0.3 ? 'a' : position >= 0.8 ? 'b' : 'stable');
      expect(interval).toEqual(arm === 'a' ? [0, 0.3] : arm === 'b' ? [0.8, 1] : [0.3, 0.8]);
    }
    expect(new Set(found.map(({ arm }) => arm))).toEqual(new Set(['stable', 'a', 'b']));
  });

  test('split twenty thousand callers by the shares', () => {
    const route = routeOf(sharesOf(10, 1));
    const counts = { stable: 0, a: 0, b: 0 } as Record<string, number>;
    for (let user = 0; user < 20_000; user += 1) {
      const { arm } = explainArm(route, `user-${user}`);
      counts[arm] = (counts[arm] ?? 0) + 1;
    }
    // Four standard deviations.
    expect(Math.abs((counts['a'] ?? 0) - 2_000)).toBeLessThan(4 * 43);
    expect(Math.abs((counts['b'] ?? 0) - 200)).toBeLessThan(4 * 15);
  });

  test('differ with another salt', () => {
    const arms = (salt: string): readonly string[] =>
      Array.from(
        { length: 200 },
        (_, user) => explainArm(routeOf(sharesOf(50), salt), `user-${user}`).arm,
      );
    const two = arms('two');
    const same = arms('one').filter((arm, index) => arm === two[index]).length;
    expect(same).toBeGreaterThan(60);
    expect(same).toBeLessThan(140);
  });

  test('give every request to an arm with all traffic, with or without a key', () => {
    expect(explainArm(routeOf(sharesOf(100)), 'x')).toEqual({ reason: 'only_arm', arm: 'a' });
    expect(explainArm(routeOf(sharesOf(0, 0)), 'x')).toEqual({ reason: 'only_arm', arm: 'stable' });
    expect(chooseArm(routeOf(sharesOf()), undefined, NO_CREDITS).choice.arm).toBe('stable');
  });
});

describe('weighted round robin', () => {
  function turns(shares: readonly Share[], count: number): readonly string[] {
    let credits: Credits = NO_CREDITS;
    return Array.from({ length: count }, () => {
      const turn = nextRoundRobin(shares, credits);
      credits = turn.credits;
      return turn.arm;
    });
  }

  test('spreads 70/20/10 smoothly', () => {
    const [s, a, b] = ['stable', 'a', 'b'] as const;
    expect(turns(sharesOf(20, 10), 10)).toEqual([s, s, a, s, s, b, s, s, a, s]);
  });

  test('keeps every prefix within one request of the exact share, and every cycle exact', () => {
    const percent = fc.integer({ min: 0, max: 50 });
    fc.assert(
      fc.property(percent, percent, (a, b) => {
        const shares = sharesOf(a, b);
        const counts = new Map<string, number>();
        let farthest = 0;
        turns(shares, 100).forEach((arm, index) => {
          counts.set(arm, (counts.get(arm) ?? 0) + 1);
          for (const { arm: name, hundredths } of shares) {
            const exact = ((index + 1) * hundredths) / ALL_TRAFFIC;
            farthest = Math.max(farthest, Math.abs((counts.get(name) ?? 0) - exact));
          }
        });
        expect(farthest).toBeLessThanOrEqual(1);
        expect(counts.get('a') ?? 0).toBe(a);
        expect(counts.get('b') ?? 0).toBe(b);
      }),
      { numRuns: rounds(100) },
    );
  });

  test('gives weight 0 nothing, even right after it had a share', () => {
    let { credits } = nextRoundRobin(sharesOf(40), NO_CREDITS);
    for (let index = 0; index < 50; index += 1) {
      const turn = nextRoundRobin(sharesOf(0, 30), credits);
      expect(turn.arm).not.toBe('a');
      credits = turn.credits;
    }
  });
});
