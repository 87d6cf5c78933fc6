import type { ArmRecord, ModelRecord, Why } from '../../../runtime/core/lifecycle/snapshot';
import { statusOf } from '../../../runtime/core/lifecycle/status';
import { arm, AT, recordOf, replica } from '../support';

const crash: Why = { cause: 'crash', message: 'exit code 1', since: AT };
const slow: Why = { cause: 'probe-failing', message: 'still loading', since: AT };

function of(arms: readonly ArmRecord[], record: Partial<ModelRecord> = {}) {
  return statusOf(recordOf({ record: { arms, replicas: [], ...record } }));
}

test.each<[string, ReturnType<typeof statusOf>, string, boolean]>([
  ['nothing known yet', of([]), 'pending', false],
  ['nothing started yet', of([arm('stable', 'v1', 0, { desired: 1 })]), 'pending', false],
  [
    'the first replica loads its model',
    of([arm('stable', 'v1', 1, { ready: 0 })], {
      replicas: [replica('stable', 'v1', 0, 'starting', { why: slow })],
    }),
    'deploying',
    false,
  ],
  ['all are ready', of([arm('stable', 'v1', 2)]), 'running', true],
  ['it sleeps until it is called', of([arm('stable', 'v1', 0)]), 'running', true],
  [
    'it goes to sleep, and its last replica is on the way out',
    of([arm('stable', 'v1', 1, { desired: 0, ready: 0 })]),
    'scaling',
    true,
  ],
  ['two of three are ready', of([arm('stable', 'v1', 3, { ready: 2 })]), 'scaling', true],
  ['one too many', of([arm('stable', 'v1', 3, { desired: 2 })]), 'scaling', true],
  [
    'an update is half done',
    of([arm('stable', 'v2', 2, { current: 3, updated: 1 })]),
    'updating',
    true,
  ],
  [
    'a candidate comes up',
    of([arm('stable', 'v1', 2), arm('v2', 'v2', 1, { ready: 0 })]),
    'updating',
    true,
  ],
  ['it cannot run here', of([arm('stable', 'v1', 0, { desired: 1, why: crash })]), 'failed', false],
  [
    'its only replica crashed',
    of([arm('stable', 'v1', 1, { ready: 0 })], {
      replicas: [replica('stable', 'v1', 0, 'failed', { why: crash })],
    }),
    'failed',
    false,
  ],
  [
    'the new version crashes while the old one serves',
    of([arm('stable', 'v2', 2, { current: 3, updated: 1 })], {
      replicas: [
        replica('stable', 'v1', 0),
        replica('stable', 'v1', 1),
        replica('stable', 'v2', 2, 'failed', { why: crash }),
      ],
    }),
    'failed',
    true,
  ],
  [
    'the new version gets no replica (a quota) while the old one serves',
    of([arm('stable', 'v2', 2, { updated: 0, why: { ...crash, cause: 'quota-exceeded' } })]),
    'failed',
    true,
  ],
  [
    'one of three crashed and starts again',
    of([arm('stable', 'v1', 3, { ready: 2 })], {
      replicas: [replica('stable', 'v1', 0, 'failed', { why: crash })],
    }),
    'scaling',
    true,
  ],
  ['it is being deleted', of([arm('stable', 'v1', 1)], { deleting: true }), 'terminating', true],
  ['it was deleted', of([], { deleting: true }), 'terminating', false],
  ['it was stopped', statusOf(recordOf({ state: { stopped: true } })), 'stopped', false],
])('%s', (_, found, status, serving) => {
  expect(found).toMatchObject({ status, serving });
});

test('the cause is the most specific one: a failed replica before a starting one and the arm', () => {
  const told = of([arm('stable', 'v1', 2, { ready: 1, why: { ...slow, cause: 'arm' } })], {
    replicas: [
      replica('stable', 'v1', 0, 'starting', { why: slow }),
      replica('stable', 'v1', 1, 'failed', { why: { ...crash, cause: 'older' } }),
      replica('stable', 'v1', 2, 'failed', { why: crash, since: AT + 5 }),
    ],
  });
  expect(told.why).toEqual(crash);
});

test('a candidate’s cause is shown when stable has none, and does not make the model fail', () => {
  const found = of([arm('stable', 'v1', 2), arm('v2', 'v2', 1, { ready: 0, why: crash })]);
  expect(found).toEqual({ status: 'updating', serving: true, why: crash });
});
