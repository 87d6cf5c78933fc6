import type { ShadowReport } from '../../runtime/data';
import { SAMPLE_MS, reportShadows } from '../../runtime/app/shadow-log';

function told(sampleMs?: number) {
  let now = 1_000;
  const lines: unknown[] = [];
  const counted: string[] = [];
  const tell = reportShadows(
    (model, arm, verdict) => counted.push(`${model} ${arm} ${verdict}`),
    { info: (message, fields) => lines.push([message, fields]) },
    () => now,
    sampleMs,
  );
  const report = (requestId: string, more: Partial<ShadowReport> = {}): void =>
    tell({ model: 'iris', arm: 'next', verdict: 'disagree', requestId, differing: ['p'], ...more });
  return { lines, counted, report, later: (ms: number) => (now += ms) };
}

const line = (requestId: string, disagreed: number, arm = 'next') => [
  'shadow disagrees',
  { model: 'iris', arm, requestId, differing: ['p'], disagreed },
];

test('the first disagreement of an arm is logged at once, later ones at intervals with their count', () => {
  const { lines, counted, report, later } = told();
  report('a');
  report('b');
  later(SAMPLE_MS - 1);
  report('c');
  expect(lines).toEqual([line('a', 1)]);
  later(1);
  report('d');
  later(SAMPLE_MS);
  report('e');
  expect(lines.slice(1)).toEqual([line('d', 3), line('e', 1)]);
  expect(counted).toEqual(Array(5).fill('iris next disagree'));
});

test('the interval is configurable; with 0 every disagreement is logged', () => {
  const often = told(0);
  for (const id of ['a', 'b']) often.report(id);
  expect(often.lines).toEqual([line('a', 1), line('b', 1)]);
  const rare = told(SAMPLE_MS * 2);
  rare.report('a');
  rare.later(SAMPLE_MS);
  rare.report('b');
  expect(rare.lines).toEqual([line('a', 1)]);
});

test('each arm has its own samples; agreements, failures and drops are counted and not logged', () => {
  const { lines, counted, report } = told();
  report('a', { verdict: 'agree' });
  report('b', { verdict: 'failed' });
  report('c', { verdict: 'dropped' });
  report('d');
  report('e', { arm: 'other' });
  expect(lines).toEqual([line('d', 1), line('e', 1, 'other')]);
  expect(counted).toEqual([
    'iris next agree',
    'iris next failed',
    'iris next dropped',
    'iris next disagree',
    'iris other disagree',
  ]);
});
