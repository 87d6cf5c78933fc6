import { rolloutSchema } from '../../../lib/spec';
import type { RowEvidence } from '../../../runtime/core/release/evidence';
import type { RolloutView } from '../../../runtime/core/release/verdict';
import { decideRollout } from '../../../runtime/core/release/verdict';

const NONE = { stable: 0, candidate: 0 };

interface Row {
  readonly hundredths?: number;
  readonly stable: number;
  readonly candidate: number;
  readonly failed?: readonly [stable: number, candidate: number];
  readonly slow?: readonly [stable: number, candidate: number];
}

const row = ({ hundredths = 500, stable, candidate, failed = [0, 0], slow }: Row): RowEvidence => ({
  hundredths,
  trials: { stable, candidate },
  failed: { stable: failed[0], candidate: failed[1] },
  early: { trials: NONE, failed: NONE },
  slow:
    slow === undefined
      ? { trials: NONE, harmed: NONE }
      : { trials: { stable, candidate }, harmed: { stable: slow[0], candidate: slow[1] } },
  assigned: { stable, candidate },
});

const QUIET = { requests: 100, failures: 0 };

/** At 5 % for two minutes, with enough trials and nothing wrong. */
const view = (more: Partial<RolloutView> = {}, rules: object = {}): RolloutView => ({
  rollout: rolloutSchema.parse({ steps: [5, 25, 50, 100], ...rules }),
  step: 0,
  stepMs: 120_000,
  rows: [row({ stable: 9500, candidate: 500 })],
  recent: { stable: QUIET, candidate: QUIET },
  seenCallers: 10_000,
  callersPerSecond: 80,
  candidate: { carriesPercent: 100 },
  isComplete: true,
  isFull: false,
  held: false,
  ...more,
});

const half = (more: Partial<Row> = {}): Row => ({
  hundredths: 5000,
  stable: 5000,
  candidate: 5000,
  ...more,
});

test.each<[string, RolloutView, object]>([
  ['all is well', view(), { do: 'advance', toStep: 1 }],
  ['no data', view({ rows: [] }), { do: 'hold' }],
  [
    'few trials of the candidate',
    view({ rows: [row({ stable: 9500, candidate: 499 })] }),
    { do: 'hold', reason: '499 of 500 trials of the candidate at this step' },
  ],
  [
    'trials of a smaller share do not count for this step',
    view({ step: 1 }),
    { do: 'hold', reason: '0 of 500 trials of the candidate at this step' },
  ],
  ['too early', view({ stepMs: 59_000 }), { do: 'hold', reason: 'this step lasts 1 s longer' }],
  [
    'a step with a hold',
    view({}, { hold: { at: 5, seconds: 3600 } }),
    { do: 'hold', reason: 'this step lasts 58 min longer' },
  ],
  [
    'harm',
    view({ rows: [row({ stable: 9500, candidate: 500, failed: [48, 25] })] }),
    { do: 'abort', gate: 'failed' },
  ],
  [
    'proven, but harmless',
    view({ rows: [row({ stable: 950_000, candidate: 50_000, failed: [4750, 500] })] }),
    { do: 'advance' },
  ],
  [
    'slow',
    view({ rows: [row({ stable: 9500, candidate: 500, slow: [475, 100] })] }),
    { do: 'abort', gate: 'slow' },
  ],
  [
    'slow, but of too few callers to tell',
    view({ rows: [row({ stable: 3800, candidate: 199, slow: [190, 100] })] }, { minRequests: 100 }),
    { do: 'advance' },
  ],
  [
    'a crash loop',
    view({ candidate: { carriesPercent: 100, crash: 'it restarted 5 times' } }),
    { do: 'abort', reason: 'it restarted 5 times' },
  ],
  [
    'half of the last minute failed',
    view({ recent: { stable: QUIET, candidate: { requests: 20, failures: 10 } } }),
    { do: 'pause' },
  ],
  [
    'so did stable: the fault is elsewhere',
    view({
      recent: {
        stable: { requests: 100, failures: 5 },
        candidate: { requests: 20, failures: 20 },
      },
    }),
    { do: 'advance' },
  ],
  ['a silent router', view({ isComplete: false }), { do: 'hold' }],
  [
    'a silent router does not hold back an abort',
    view({ isComplete: false, rows: [row({ stable: 9500, candidate: 500, failed: [48, 60] })] }),
    { do: 'abort' },
  ],
  ['held by hand', view({ held: true }), { do: 'hold' }],
  [
    'callers are lost on the way to the candidate',
    view({ rows: [row({ stable: 99_500, candidate: 500 })] }),
    { do: 'hold', gate: 'ratio' },
  ],
  [
    'replicas that could not carry more',
    view({ candidate: { carriesPercent: 20 } }),
    { do: 'hold', reason: expect.stringMatching(/carries at most 20 %/) },
  ],
  [
    'few callers: steps that nobody would see are passed over',
    view({ seenCallers: 30, rows: [row({ stable: 95, candidate: 5 })] }, { minRequests: 5 }),
    { do: 'advance', toStep: 2 },
  ],
  [
    '100 % without proof',
    view({ step: 2, rows: [row(half({ stable: 600, candidate: 600 }))] }),
    { do: 'hold', gate: 'failed', need: { p50: expect.any(Number), p95: expect.any(Number) } },
  ],
  [
    '100 % out of reach',
    view({
      step: 2,
      callersPerSecond: 0,
      seenCallers: 200,
      rows: [row(half({ stable: 600, candidate: 600 }))],
    }),
    {
      do: 'hold',
      reason: expect.stringMatching(/^unreachable: 200 callers, about \d+ more needed/),
    },
  ],
  ['100 % with proof', view({ step: 2, rows: [row(half())] }), { do: 'advance', toStep: 3 }],
  [
    'the last step',
    view({ step: 3, rows: [row(half()), row({ hundredths: 10_000, stable: 0, candidate: 600 })] }),
    { do: 'done' },
  ],
  [
    'the last step, where every caller has been counted before',
    view({ step: 3, rows: [row(half())] }),
    { do: 'done' },
  ],
  [
    'the last step without data',
    view({ step: 3, rows: [row(half({ stable: 499, candidate: 499 }))] }),
    { do: 'hold', reason: '499 of 500 trials of the candidate' },
  ],
  [
    'few trials of stable',
    view({ rows: [row({ hundredths: 9000, stable: 499, candidate: 4500 })] }),
    { do: 'hold', reason: '499 of 500 trials of stable' },
  ],
  [
    'a step that too few callers will ever reach',
    view({ seenCallers: 200, callersPerSecond: 1e-3, rows: [row({ stable: 190, candidate: 10 })] }),
    { do: 'hold', reason: expect.stringMatching(/^unreachable: 200 callers, about 9800 more/) },
  ],
  [
    'harm at 100 %',
    view({
      step: 3,
      rows: [
        row(half({ failed: [25, 25] })),
        row({ hundredths: 10_000, stable: 0, candidate: 600, failed: [0, 60] }),
      ],
    }),
    { do: 'abort', gate: 'failed' },
  ],
  [
    'within what is allowed at 100 %',
    view(
      {
        step: 3,
        rows: [
          row(half({ failed: [25, 25] })),
          row({ hundredths: 10_000, stable: 0, candidate: 600, failed: [0, 60] }),
        ],
      },
      { gates: { failed: { absolute: 15 } } },
    ),
    { do: 'done' },
  ],
])('%s', (_, seen, wanted) => {
  expect(decideRollout(seen)).toMatchObject(wanted);
});

test('strict aborts later: on proof of the margin itself', () => {
  const rows = [row({ stable: 9500, candidate: 500, failed: [48, 18] })];
  expect(decideRollout(view({ rows })).do).toBe('abort');
  expect(decideRollout(view({ rows }, { strict: true })).do).not.toBe('abort');
});

test('alpha decides how much evidence aborts', () => {
  const rows = [row({ stable: 9500, candidate: 500, failed: [48, 14] })];
  const { e } = decideRollout(view({ rows }));
  expect(e).toBeGreaterThan(100);
  expect(decideRollout(view({ rows }, { alpha: 1 / (2 * e) })).do).not.toBe('abort');
});
