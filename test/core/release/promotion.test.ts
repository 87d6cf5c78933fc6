import { definitionHash, parseModel } from '../../../lib/spec';
import type { ModelInput } from '../../../lib/spec';
import { sharesOf } from '../../../runtime/core/routing/build-table';
import type { ActiveRequestsByArm, PromoteDecision } from '../../../runtime/core/release/promotion';
import { decidePromote } from '../../../runtime/core/release/promotion';
import type {
  ArmRecord,
  ModelRecord,
  ModelOverrides,
  PromotePhase,
} from '../../../runtime/core/lifecycle/snapshot';
import { arm, recordOf } from '../support';

const QUIET: ActiveRequestsByArm = new Map();
const busy = (inFlight: number): ActiveRequestsByArm =>
  new Map([['stable', { inFlight, queued: 0 }]]);
const CANARY = { candidates: [{ version: 'v2', source: './v2.onnx', traffic: 10 }] };

function at(
  phase: PromotePhase,
  share?: number,
  arms: readonly ArmRecord[] = [arm('stable', 'v1', 2), arm('v2', 'v2', 2)],
): ModelRecord {
  const shares = share === undefined ? {} : { shares: { v2: share } };
  return recordOf({
    input: CANARY,
    state: { promote: { candidate: 'v2', phase }, ...shares },
    record: { arms },
  });
}

/** What a tick does with a decision. */
function act(record: ModelRecord, decision: PromoteDecision): ModelRecord {
  if (decision.do === 'hold') return record;
  if (!('definition' in decision)) return { ...record, state: decision.state };
  const spec = parseModel(decision.definition);
  const hash = definitionHash(spec.definition);
  const state: ModelOverrides = { hash, ...decision.state };
  const arms = spec.arms.map(({ name, version }) => arm(name, version, 2));
  return { ...record, spec, hash, state, arms, revision: record.revision + 1 };
}

test('a promotion moves traffic in steps, rolls stable, returns traffic and removes the candidate', () => {
  let record = at('shifting');
  const steps: string[] = [];
  for (let tick = 0; tick < 20; tick += 1) {
    const decision = decidePromote(record, busy(1));
    if (decision.do === 'hold') break;
    record = act(record, decision);
    steps.push(
      decision.do === 'shift' || decision.do === 'return'
        ? `${decision.do} ${decision.percent}`
        : decision.do,
    );
  }
  expect(steps).toEqual([
    'shift 25',
    'shift 50',
    'shift 100',
    'roll',
    'return 100',
    'return 50',
    'return 25',
    'return 0',
    'finish',
  ]);
  expect(record.spec.definition).toEqual({
    model_id: 'iris',
    version: 'v2',
    framework: 'onnx',
    repository_url: './v2.onnx',
  });
  expect(record.state).toEqual({ hash: record.hash });
});

test('stable gets no traffic from the start of its roll until it is done', () => {
  const rolled = act(at('shifting', 100), decidePromote(at('shifting', 100), QUIET));
  expect(sharesOf(rolled)).toEqual([
    { arm: 'stable', hundredths: 0 },
    { arm: 'v2', hundredths: 10_000 },
  ]);
  expect(rolled.spec.version).toBe('v2');
  const arms = [arm('stable', 'v2', 2, { current: 3, updated: 1 }), arm('v2', 'v2', 2)];
  expect(decidePromote({ ...rolled, arms }, QUIET)).toEqual({
    do: 'hold',
    reason: 'stable has rolled 1 of 2, 2 are ready',
  });
});

test('a share rises only as far as the ready replicas of the candidate carry it', () => {
  // 2 ready × 8 in flight × 0.8 = 12.8 of the 40 in flight: 32 %.
  expect(decidePromote(at('shifting', 20), busy(40))).toMatchObject({ do: 'shift', percent: 32 });
  const held = decidePromote(at('shifting', 32), busy(40));
  expect(held).toMatchObject({ do: 'hold' });
  expect(held.reason).toMatch(/at most 32 % with 2 ready replicas; wait for its autoscaler/);
});

test('traffic returns only as far as stable carries it', () => {
  expect(decidePromote(at('returning'), busy(40))).toMatchObject({ do: 'return', percent: 68 });
  expect(decidePromote(at('returning', 68), busy(40)).do).toBe('hold');
});

test('without a ready replica nothing moves, and the reason has the cause', () => {
  const why = { cause: 'crash', message: 'exit code 1', since: 0 };
  const arms = [arm('stable', 'v1', 2), arm('v2', 'v2', 1, { ready: 0, why })];
  expect(decidePromote(at('shifting', 10, arms), QUIET)).toEqual({
    do: 'hold',
    reason: 'waiting for a ready replica of v2 (exit code 1)',
  });
});

test('a sleeping candidate gets one percent to wake it', () => {
  const arms = [arm('stable', 'v1', 2), arm('v2', 'v2', 0)];
  expect(decidePromote(at('shifting', 0, arms), QUIET)).toMatchObject({ do: 'shift', percent: 1 });
  expect(decidePromote(at('shifting', 1, arms), QUIET).do).toBe('hold');
});

test('nothing is promoted without a request, or when stopped, deleted or outdated', () => {
  const promote = { candidate: 'v2', phase: 'shifting' as const };
  const holds = [
    recordOf({ input: CANARY }),
    recordOf({ input: CANARY, state: { promote, stopped: true } }),
    recordOf({ input: CANARY, state: { promote }, record: { deleting: true } }),
    recordOf({ input: CANARY, state: { promote, hash: 'another definition' } }),
    recordOf({ input: CANARY, state: { promote: { ...promote, candidate: 'gone' } } }),
  ];
  expect(holds.map((record) => decidePromote(record, QUIET).do)).toEqual(holds.map(() => 'hold'));
});

describe('the definition during a promotion', () => {
  function halfway(input: Partial<ModelInput>) {
    const promote = { candidate: 'v2', phase: 'shifting' as const };
    const record = recordOf({ input, state: { promote, shares: { v2: 100 } } });
    const decision = decidePromote(record, QUIET);
    if (decision.do !== 'roll') throw new Error(`${decision.do}: ${decision.reason}`);
    return { before: record.spec, after: parseModel(decision.definition) };
  }
  const named = (spec: ReturnType<typeof parseModel>, name: string) =>
    spec.arms.find((one) => one.name === name);

  test('gives stable the version of the candidate, which is not restarted', () => {
    const { before, after } = halfway({
      env: { A: '1', B: '1' },
      resources: { cpu: '1', memory: '1Gi' },
      scaling: { minReplicas: 3, maxReplicas: 9 },
      candidates: [
        {
          version: 'v2',
          image: 'own/model:v2',
          env: { B: '2', C: '2' },
          resources: { memory: '2Gi' },
          scaling: { minReplicas: 1 },
          traffic: 5,
        },
      ],
    });
    const old = named(before, 'v2');
    const { role: _, ...candidate } = { ...named(after, 'v2') };
    expect(old).toMatchObject(candidate);
    expect(after.arms[0]).toMatchObject({
      version: 'v2',
      image: 'own/model:v2',
      server: old?.server,
      env: { A: '1', B: '2', C: '2' },
      resources: { cpu: '1', memory: '2Gi' },
      scaling: { minReplicas: 3, maxReplicas: 9 },
    });
  });

  test('keeps siblings on their version, without a share', () => {
    const { before, after } = halfway({
      candidates: [
        { version: 'v2', source: './v2.onnx', traffic: 5 },
        { version: 'v3', env: { X: '1' }, traffic: 5 },
        { version: 'v4', shadow: 10 },
      ],
    });
    expect(named(after, 'v3')).toEqual({
      ...named(before, 'v3'),
      role: { kind: 'traffic', percent: 0 },
    });
    expect(named(after, 'v4')).toEqual(named(before, 'v4'));
  });

  test('promotes a shadow', () => {
    const { after } = halfway({
      candidates: [{ version: 'v2', source: './v2.onnx', shadow: 50, compare: { rel: 0.1 } }],
    });
    expect(named(after, 'v2')?.role).toEqual({ kind: 'traffic', percent: 100 });
  });
});
