import { packCounts, unpackCounts } from '../../../runtime/core/release/packed-counts';
import { newestCounts, totalOf } from '../../../runtime/core/release/rollout-counts';
import type { RolloutCounts, RouterCounts } from '../../../runtime/core/release/rollout-state';

const arms = (stable: number, candidate: number) => ({ stable, candidate });

const counts = (more: Partial<RolloutCounts> = {}): RolloutCounts => ({
  model: 'iris',
  rollout: 'r',
  rows: [
    {
      hundredths: 500,
      trials: arms(95, 5),
      failed: arms(2, 1),
      early: { trials: arms(96, 6), failed: arms(3, 1) },
      slow: { trials: arms(90, 4), harmed: arms(5, 2) },
      assigned: arms(97, 7),
    },
  ],
  failing: [
    { hash: 4_294_967_295, arm: 'candidate', hundredths: 500 },
    { hash: 7, arm: 'stable', hundredths: 500 },
    { hash: 8, arm: 'stable', hundredths: 500 },
  ],
  isFull: false,
  seenCallers: 104,
  unnamed: 3,
  recent: {
    stable: { requests: 10, failures: 1 },
    candidate: { requests: 5, failures: 2 },
    firstBytes: { requests: 10, slow: 1, p95Ms: 20 },
  },
  ...more,
});
const run = (boot: string, more?: Partial<RolloutCounts>): RouterCounts => ({
  boot,
  counts: counts(more),
});

test('packed counts are the same when they are unpacked, and few bytes', () => {
  const failing = Array.from({ length: 512 }, (_, index) => ({
    hash: 4_294_967_295 - index,
    arm: 'candidate' as const,
    hundredths: 10_000,
  }));
  for (const one of [counts(), counts({ failing, isFull: true })]) {
    const text = JSON.stringify(packCounts(one));
    expect(unpackCounts(JSON.parse(text) as ReturnType<typeof packCounts>)).toEqual(one);
    expect(text.length).toBeLessThan(12_000);
  }
});

test('counts of one share add up; a caller that failed at two routers is one', () => {
  const other = counts({ failing: [{ hash: 7, arm: 'stable', hundredths: 500 }] });
  const total = totalOf([counts(), other]);
  expect(total?.rows[0]).toMatchObject({ trials: arms(190, 10), failed: arms(3, 2) });
  expect(total?.failing).toHaveLength(3);
  expect(total?.recent.firstBytes).toEqual({ requests: 20, slow: 2, p95Ms: 20 });
  expect(totalOf([])).toBeUndefined();
});

test('rows of other shares stay apart', () => {
  const [row] = counts().rows;
  if (row === undefined) throw new Error('no row');
  const total = totalOf([counts(), counts({ rows: [{ ...row, hundredths: 900 }], failing: [] })]);
  expect(total?.rows.map(({ hundredths, trials }) => [hundredths, trials.candidate])).toEqual([
    [500, 5],
    [900, 5],
  ]);
});

test('the newest report of a run replaces the one before; a silent run keeps what it counted', () => {
  const known = [run('a@1'), run('b@1')];
  const heard = [run('a@1', { seenCallers: 200 })];
  const all = newestCounts(known, heard);
  expect(all.map(({ boot, counts: one }) => [boot, one.seenCallers])).toEqual([
    ['b@1', 104],
    ['a@1', 200],
  ]);
  expect(all[0]?.counts.recent.candidate).toEqual({ requests: 0, failures: 0 });
  expect(newestCounts(all, heard)).toEqual(all);
});

test('of many runs the first are added up, once', () => {
  let known: readonly RouterCounts[] = [];
  for (let restart = 0; restart < 50; restart += 1) {
    known = newestCounts(known, [run(`a@${restart}`, { failing: [] })]);
  }
  expect(known).toHaveLength(8);
  expect(totalOf(known.map((one) => one.counts))?.rows[0]?.trials).toEqual(arms(50 * 95, 50 * 5));
});
