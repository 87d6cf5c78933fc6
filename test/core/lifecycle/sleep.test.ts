import type { ModelInput } from '../../../lib/spec';
import type { ArmUsage } from '../../../runtime/core/lifecycle/peers';
import type { SleepInputs } from '../../../runtime/core/lifecycle/sleep';
import { decideSleep, decideWake, idleLimitMs } from '../../../runtime/core/lifecycle/sleep';
import type { Given } from '../support';
import { arm, AT, recordOf, replica } from '../support';

const HOUR = 3_600_000;

const scaling = (more: object = {}): Partial<ModelInput> => ({
  scaling: { minReplicas: 0, maxReplicas: 2, targetConcurrency: 4, ...more },
});

const idle = (more: Partial<ArmUsage> = {}): ArmUsage => ({
  inFlight: 0,
  queued: 0,
  idleMs: HOUR,
  ...more,
});

function sleeper(given: Given = {}, more: Partial<SleepInputs> = {}): SleepInputs {
  const record = recordOf({ input: scaling(), ...given });
  return {
    phase: 'synced',
    record,
    arm: record.arms[0] ?? arm('stable', 'v1', 0),
    scaling: record.spec.scaling,
    uses: [idle(), idle(), idle()],
    quietMs: HOUR,
    now: AT + HOUR,
    ...more,
  };
}

test('an arm that is idle for its window sleeps', () => {
  expect(decideSleep(sleeper())).toEqual({
    do: 'sleep',
    reason: 'idle for 3600 s in all routers',
    from: 2,
  });
});

const promoting = { promote: { candidate: 'v2', phase: 'shifting' as const } };
const fresh = { replicas: [replica('stable', 'v1', 0, 'ready', { since: AT + HOUR - 299_000 })] };

test.each<[string, SleepInputs, RegExp]>([
  [
    'a router is silent',
    sleeper({}, { uses: [idle(), undefined] }),
    /1 of 2 routers do not report/,
  ],
  [
    'a request runs',
    sleeper({}, { uses: [idle(), idle({ inFlight: 1 })] }),
    /1 requests are under/,
  ],
  ['a request waits', sleeper({}, { uses: [idle({ queued: 2 })] }), /2 requests are under/],
  ['one router had a request', sleeper({}, { uses: [idle({ idleMs: 299_999 })] }), /299 of 300 s/],
  ['a long request has just ended', sleeper({}, { quietMs: 1000 }), /idle for 1 of 300 s/],
  ['it was woken a moment ago', sleeper({ record: fresh }), /idle for 299 of 300 s/],
  ['it was deployed a moment ago', sleeper({ record: { updatedAt: AT + HOUR } }), /idle for 0/],
  ['the view is old', sleeper({}, { phase: 'stale' }), /view of the cluster is old/],
  ['it keeps a replica', sleeper({ input: scaling({ minReplicas: 1 }) }), /it keeps 1 replicas/],
  ['it sleeps', sleeper({ record: { arms: [arm('stable', 'v1', 0)] } }), /it sleeps/],
  [
    'it is not up',
    sleeper({ record: { arms: [arm('stable', 'v1', 1, { ready: 0 })] } }),
    /none of its replicas is ready/,
  ],
  ['it is stopped', sleeper({ state: { stopped: true } }), /being stopped/],
  ['it goes', sleeper({ record: { deleting: true } }), /being stopped/],
  ['it is being promoted', sleeper({ state: promoting }), /promotion is under way/],
])('an arm stays when %s', (_, given, reason) => {
  const decision = decideSleep(given);
  expect(decision.do).toBe('hold');
  expect(decision.reason).toMatch(reason);
});

test.each([
  [300, 300_000],
  [60, 60_000],
  [0, 10_000],
])('a window of %i s is %i ms without requests: long enough to have heard all routers', (s, ms) => {
  const { scaling: given } = sleeper({ input: scaling({ scaleDownWindowSeconds: s }) });
  expect(idleLimitMs(given)).toBe(ms);
});

describe('a sleeping arm', () => {
  const asleep = (more: Given = {}) =>
    recordOf({
      input: scaling(),
      record: { arms: [arm('stable', 'v1', 0)], replicas: [] },
      ...more,
    });
  const wake = (own: ArmUsage, record = asleep()) =>
    decideWake(record, record.arms[0] ?? arm('x', 'v1', 0), record.spec.scaling, own);

  test.each<[string, ArmUsage, string]>([
    ['a request waits', idle({ queued: 1, idleMs: 60_000 }), 'wake'],
    ['stable served in its place just now', idle({ idleMs: 2_999 }), 'wake'],
    ['no request arrived for it', idle({ idleMs: 3_000 }), 'hold'],
  ])('when %s: %o → %s', (_, own, expected) => {
    expect(wake(own).do).toBe(expected);
  });

  test('gets its minimum, and at least one', () => {
    const busy = idle({ queued: 1 });
    expect(wake(busy)).toMatchObject({ replicas: 1 });
    const two = recordOf({
      input: scaling({ minReplicas: 2 }),
      record: { arms: [arm('stable', 'v1', 0)] },
    });
    expect(wake(busy, two)).toMatchObject({ do: 'wake', replicas: 2 });
  });

  test.each([
    ['stopped by hand', asleep({ state: { stopped: true } })],
    ['on its way out', recordOf({ record: { deleting: true, arms: [arm('stable', 'v1', 0)] } })],
    ['awake', recordOf()],
  ])('stays asleep when it is %s', (_, record) => {
    expect(wake(idle({ queued: 1 }), record).do).toBe('hold');
  });
});
