import { createHash } from 'node:crypto';
import type { PlannedEnvironment, PlanSide } from '../../lib/plan/plan';
import { planOf } from '../../lib/plan/plan';
import { PLAN_RULES } from '../../lib/plan/rules';
import type { ModelPlan, Plan } from '../../lib/plan/schema';
import { objectsOf } from '../../lib/objects';
import type { EnvironmentInput, ModelInput } from '../../lib/spec';
import { parseEnvironment, parseModel, withFiles } from '../../lib/spec';
import { onnxBytes, WEIGHTS } from '../support/onnxbytes';

// Mutations of a definition, each with the rules that name it; a mutation without a risk names none.

const BEFORE = {
  id: 'triage',
  version: '1.4.0',
  framework: 'custom',
  image: `ghcr.io/suoke/triage:1.4.0@sha256:${'a'.repeat(64)}`,
  runAsUser: 10_002,
  scaling: { minReplicas: 2, maxReplicas: 4 },
  resources: { cpu: '1', memory: '2Gi' },
  health: { path: '/healthz', startupSeconds: 60 },
  inference: { cohort: { header: 'x-user-id' } },
  env: { LOG_LEVEL: 'info' },
  capabilities: ['triage', 'german'],
} satisfies ModelInput;

const DIGEST = `sha256:${'b'.repeat(64)}`;
const IMAGE = `ghcr.io/suoke/triage:1.5.0@${DIGEST}`;
const CANDIDATE = { version: '1.5.0', image: IMAGE, traffic: 10, scaling: { maxReplicas: 1 } };
const SPLIT = { ...BEFORE, candidates: [CANDIDATE] };
const REMOTE: ModelInput = {
  id: 'triage',
  version: '1.4.0',
  framework: 'sklearn',
  source: { uri: 's3://models/triage/1.4.0', sha256: 'c'.repeat(64), size: '10G' },
  scaling: { minReplicas: 2, maxReplicas: 4 },
  resources: { memory: '2Gi' },
};

interface Mutation {
  readonly name: string;
  readonly before?: ModelInput;
  readonly after: ModelInput | undefined;
  readonly environments?: readonly [EnvironmentInput, EnvironmentInput];
  readonly rules: readonly string[];
}

const candidate = (changes: object): ModelInput => ({
  ...BEFORE,
  candidates: [{ ...CANDIDATE, ...changes }],
});
const rolling = (rollout: object): ModelInput => ({
  ...BEFORE,
  candidates: [{ version: '1.5.0', image: IMAGE, rollout }],
});
const ROLLING = rolling({});
const deployment = (patch: Record<string, unknown>): ModelInput => ({
  ...BEFORE,
  overrides: { Deployment: patch },
});
const pod = (spec: object): ModelInput => deployment({ spec: { template: { spec } } });

/** A replica costs 1 × 0.1 × 730 = 73 per month; 4 to 8 replicas cost 292 to 584. */
const BUDGET = {
  prices: { cpuHour: 0.1, memoryGiBHour: 0 },
  budget: { perModel: 400, monthly: 5000 },
};

const MUTATIONS: readonly Mutation[] = [
  // Without a risk.
  { name: 'a log level', after: { ...BEFORE, env: { LOG_LEVEL: 'debug' } }, rules: [] },
  { name: 'a name for people', after: { ...BEFORE, name: 'Triage' }, rules: [] },
  {
    name: 'more replicas',
    after: { ...BEFORE, scaling: { minReplicas: 3, maxReplicas: 6 } },
    rules: [],
  },
  { name: 'a candidate with a tenth', after: SPLIT, rules: [] },
  { name: 'a growing share', before: SPLIT, after: candidate({ traffic: 25 }), rules: [] },
  {
    name: 'a longer deadline',
    after: { ...BEFORE, inference: { ...BEFORE.inference, timeoutSeconds: 60 } },
    rules: [],
  },
  {
    name: 'a shorter deadline and its shorter grace',
    after: { ...BEFORE, inference: { ...BEFORE.inference, timeoutSeconds: 20 } },
    rules: ['limits-lowered'],
  },
  {
    name: 'the first step of a promotion',
    before: SPLIT,
    after: {
      ...BEFORE,
      version: '1.5.0',
      image: IMAGE,
      candidates: [{ ...CANDIDATE, traffic: 100, scaling: { minReplicas: 2, maxReplicas: 4 } }],
    },
    rules: [],
  },
  {
    name: 'the second step of a promotion',
    before: {
      ...BEFORE,
      version: '1.5.0',
      image: IMAGE,
      candidates: [{ ...CANDIDATE, traffic: 100 }],
    },
    after: { ...BEFORE, version: '1.5.0', image: IMAGE },
    rules: [],
  },
  {
    name: 'another salt while one arm has all',
    after: { ...BEFORE, inference: { cohort: { header: 'x-user-id', salt: 'b' } } },
    rules: [],
  },
  // Traffic.
  {
    name: 'a falling share',
    before: SPLIT,
    after: candidate({ traffic: 5 }),
    rules: ['cohorts-move-backwards'],
  },
  {
    name: 'a candidate that goes',
    before: SPLIT,
    after: BEFORE,
    rules: ['cohorts-move-backwards'],
  },
  {
    name: 'a candidate that becomes a shadow',
    before: SPLIT,
    after: candidate({ traffic: undefined, shadow: 10 }),
    rules: ['cohorts-move-backwards'],
  },
  {
    name: 'candidates that change places',
    before: { ...BEFORE, candidates: [CANDIDATE, { ...CANDIDATE, version: '1.6.0', traffic: 20 }] },
    after: { ...BEFORE, candidates: [{ ...CANDIDATE, version: '1.6.0', traffic: 20 }, CANDIDATE] },
    rules: ['cohorts-move-backwards', 'cohorts-move-backwards', 'cohorts-move-backwards'],
  },
  {
    name: 'a promotion in one step',
    before: SPLIT,
    after: { ...BEFORE, version: '1.5.0', image: IMAGE },
    rules: ['promote-in-one-step'],
  },
  {
    name: 'another salt while traffic is split',
    before: SPLIT,
    after: { ...SPLIT, inference: { cohort: { header: 'x-user-id', salt: 'b' } } },
    rules: ['salt-changed'],
  },
  {
    name: 'another key while traffic is split',
    before: SPLIT,
    after: { ...SPLIT, inference: { cohort: { claim: 'sub' } } },
    rules: ['cohort-key-changed'],
  },
  { name: 'a rollout', after: ROLLING, rules: [] },
  {
    name: 'a rollout whose candidate goes',
    before: ROLLING,
    after: BEFORE,
    rules: ['cohorts-move-backwards'],
  },
  {
    name: 'a rollout that begins with everyone',
    after: rolling({ steps: [100] }),
    rules: ['rollout-jumps'],
  },
  {
    name: 'a rollout by less evidence',
    before: ROLLING,
    after: rolling({ minRequests: 10 }),
    rules: ['rollout-loosened'],
  },
  { name: 'the end of a model', after: undefined, rules: ['model-deleted'] },
  {
    name: 'another image as the same version',
    after: { ...BEFORE, image: IMAGE },
    rules: ['version-reused'],
  },
  // Availability.
  {
    name: 'another path of health',
    after: { ...BEFORE, health: { ...BEFORE.health, path: '/ping' } },
    rules: ['readiness-weakened'],
  },
  {
    name: 'a longer period of probes',
    after: { ...BEFORE, health: { ...BEFORE.health, periodSeconds: 20 } },
    rules: ['readiness-weakened'],
  },
  {
    name: 'a shorter start-up budget',
    after: { ...BEFORE, health: { ...BEFORE.health, startupSeconds: 30 } },
    rules: ['startup-budget-lowered'],
  },
  {
    name: 'a shorter grace period',
    after: pod({ terminationGracePeriodSeconds: 20 }),
    rules: ['grace-weakened'],
  },
  {
    name: 'an update that replaces the only replica',
    before: { ...BEFORE, scaling: { minReplicas: 1, maxReplicas: 2 }, updateStrategy: 'replace' },
    after: {
      ...BEFORE,
      scaling: { minReplicas: 1, maxReplicas: 2 },
      updateStrategy: 'replace',
      env: {},
    },
    rules: ['update-outage'],
  },
  {
    name: 'one replica at least',
    after: { ...BEFORE, scaling: { minReplicas: 1, maxReplicas: 4 } },
    rules: ['redundancy-lost'],
  },
  {
    name: 'sleep at zero with a large artifact',
    before: REMOTE,
    after: { ...REMOTE, scaling: { minReplicas: 0, maxReplicas: 4, targetConcurrency: 4 } },
    rules: ['cold-start'],
  },
  // Capacity.
  {
    name: 'a lower maximum',
    after: { ...BEFORE, scaling: { minReplicas: 2, maxReplicas: 3 } },
    rules: ['capacity-below-share'],
  },
  {
    name: 'all traffic to one replica',
    before: SPLIT,
    after: candidate({ traffic: 100 }),
    rules: ['capacity-below-share'],
  },
  {
    name: 'less memory',
    after: { ...BEFORE, resources: { cpu: '1', memory: '1Gi' } },
    rules: ['memory-lowered'],
  },
  {
    name: 'more GPUs than the quota at the fewest replicas',
    after: { ...BEFORE, resources: { ...BEFORE.resources, gpu: 2 } },
    environments: [{ quota: { gpu: 4 } }, { quota: { gpu: 4 } }],
    rules: ['quota-at-minimum'],
  },
  {
    name: 'more GPUs than the quota only with the surge',
    after: {
      ...BEFORE,
      updateStrategy: 'surge',
      scaling: { minReplicas: 2, maxReplicas: 2 },
      resources: { ...BEFORE.resources, gpu: 1 },
    },
    environments: [{ quota: { gpu: 2 } }, { quota: { gpu: 2 } }],
    rules: ['quota-at-minimum', 'capacity-below-share'],
  },
  {
    name: 'more GPUs than the quota at the most replicas',
    after: {
      ...BEFORE,
      updateStrategy: 'replace',
      scaling: { minReplicas: 2, maxReplicas: 8 },
      resources: { ...BEFORE.resources, gpu: 1 },
    },
    environments: [{ quota: { gpu: 4 } }, { quota: { gpu: 4 } }],
    rules: ['quota-at-maximum'],
  },
  {
    name: 'more replicas than the budget of a model',
    after: { ...BEFORE, scaling: { minReplicas: 2, maxReplicas: 8 } },
    environments: [BUDGET, BUDGET],
    rules: ['budget-exceeded'],
  },
  {
    name: 'more replicas within the budget',
    after: { ...BEFORE, scaling: { minReplicas: 2, maxReplicas: 5 } },
    environments: [BUDGET, BUDGET],
    rules: [],
  },
  // Supply and access.
  {
    name: 'an image by its tag',
    after: { ...BEFORE, version: '1.5.0', image: 'ghcr.io/suoke/triage:1.5.0' },
    rules: ['image-not-pinned'],
  },
  {
    name: 'an artifact without digest',
    before: REMOTE,
    after: { ...REMOTE, version: '1.5.0', source: 's3://models/triage/1.5.0' },
    rules: ['source-not-pinned'],
  },
  {
    name: 'an image from elsewhere',
    after: { ...BEFORE, version: '1.5.0', image: `quay.io/other/triage:1@${DIGEST}` },
    rules: ['registry-widened'],
  },
  {
    name: 'an artifact over another port',
    before: REMOTE,
    after: {
      ...REMOTE,
      source: {
        uri: 's3://models/triage/1.4.0',
        sha256: 'c'.repeat(64),
        size: '10G',
        endpoint: 'http://minio:9000',
      },
    },
    rules: ['egress-widened'],
  },
  {
    name: 'no network policy',
    after: BEFORE,
    environments: [{}, { networkPolicy: false }],
    rules: ['egress-widened'],
  },
  {
    name: 'a caller past the router',
    after: BEFORE,
    environments: [{}, { networkPolicy: { from: [{ podLabels: { app: 'batch' } }] } }],
    rules: ['ingress-widened'],
  },
  {
    name: 'a Secret',
    after: { ...BEFORE, env: { LOG_LEVEL: 'info', TOKEN: { secret: 'triage--db', key: 'token' } } },
    rules: ['new-secret'],
  },
  {
    name: 'the network of the node',
    after: pod({ hostNetwork: true }),
    rules: ['security-weakened'],
  },
  {
    name: 'a weaker pod security',
    after: BEFORE,
    environments: [{}, { podSecurity: 'platform' }],
    rules: ['security-weakened'],
  },
  {
    name: 'another registry for all images',
    before: REMOTE,
    after: REMOTE,
    environments: [{}, { registry: 'mirror.example.org' }],
    rules: ['registry-widened'],
  },
  // Contract.
  {
    name: 'another protocol',
    after: { ...BEFORE, server: { kind: 'custom', protocol: 'v2' } },
    rules: ['protocol-changed'],
  },
  {
    name: 'another kind of server',
    before: REMOTE,
    after: { ...REMOTE, framework: 'pytorch' },
    rules: ['server-changed'],
  },
  {
    name: 'a capability less',
    after: { ...BEFORE, capabilities: ['triage'] },
    rules: ['capability-removed'],
  },
  {
    name: 'smaller bodies',
    after: { ...BEFORE, inference: { ...BEFORE.inference, maxBodyBytes: 1024 } },
    rules: ['limits-lowered'],
  },
  {
    name: 'retries',
    before: { ...BEFORE, inference: { idempotent: false } },
    after: BEFORE,
    rules: ['retries-allowed'],
  },
  // What fails, and what is accepted.
  {
    name: 'a smaller cache',
    before: { ...REMOTE, cache: { size: '50Gi' } },
    after: { ...REMOTE, cache: { size: '20Gi' } },
    rules: ['immutable-field'],
  },
  {
    name: 'another namespace',
    after: BEFORE,
    environments: [{}, { namespace: 'other' }],
    rules: ['namespace-moved'],
  },
  {
    name: 'a waiver that ends soon',
    after: {
      ...BEFORE,
      waivers: [{ rule: 'numeric-user', reason: 'the image is old', until: '2026-06-10' }],
    },
    rules: ['waiver-added', 'waiver-ends'],
  },
  {
    name: 'a waiver for long',
    after: {
      ...BEFORE,
      waivers: [{ rule: 'numeric-user', reason: 'the image is old', until: '2027-06-10' }],
    },
    rules: ['waiver-added'],
  },
];

function side(model: ModelInput | undefined, environment: EnvironmentInput = {}): PlanSide {
  const specs = model === undefined ? [] : [parseModel(model)];
  return {
    environment: parseEnvironment(environment),
    models: new Map(specs.map((spec) => [spec.id, { spec }])),
    shared: [],
  };
}

function planned(environment: PlannedEnvironment): Plan {
  return planOf({
    environments: [environment],
    base: 'main',
    library: '0.1.0',
    today: '2026-06-01',
  });
}

function changed({ before = BEFORE, after, environments = [{}, {}] }: Mutation): ModelPlan {
  const { models } = planned({
    name: 'default',
    before: side(before, environments[0]),
    after: side(after, environments[1]),
  });
  expect(models).toHaveLength(1);
  return models[0] as ModelPlan;
}

test.each(MUTATIONS.map((mutation) => [mutation.name, mutation] as const))('%s', (_, mutation) => {
  expect(changed(mutation).risks.map(({ rule }) => rule)).toEqual(mutation.rules);
});

test('every rule names a mutation, here or where files are needed', () => {
  const named = new Set(MUTATIONS.flatMap(({ rules }) => rules));
  const missing = PLAN_RULES.map(({ id }) => id).filter((id) => !named.has(id));
  expect(missing).toEqual(['signature-changed']);
});

const onnx = (bytes: Buffer): PlanSide => {
  const definition = { id: 'iris', version: 'v1', framework: 'onnx', source: './iris.onnx' };
  const spec = withFiles(parseModel(definition), (uri) => {
    return { name: uri, bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
  });
  return { environment: parseEnvironment({}), models: new Map([['iris', { spec }]]), shared: [] };
};

test('a model with other inputs is named, with both signatures', () => {
  const renamed = Buffer.from(onnxBytes().toString('latin1').replaceAll('x', 'z'), 'latin1');
  const { models } = planned({ name: 'default', before: onnx(onnxBytes()), after: onnx(renamed) });
  const risks = models[0]?.risks ?? [];
  expect(risks.map(({ rule }) => rule)).toEqual(['signature-changed', 'version-reused']);
  expect(risks[0]?.reason).toBe(
    '`stable` has another signature: inputs `x: float[N,2]` became `z: float[N,2]`',
  );
});

test('a file of a manifest, whose definition does not hold it, is the same file', () => {
  const { environment, models } = onnx(onnxBytes());
  const spec = models.get('iris')?.spec;
  if (spec === undefined) throw new Error('the model has a definition');
  const stored = parseModel({ ...spec.definition, scaling_config: { max_replicas: 3 } });
  const manifest = { spec: stored, objects: objectsOf(spec, environment) };
  const before = { environment, models: new Map([['iris', manifest]]), shared: [] };
  const after = { environment, models, shared: [] };
  const plan = planned({ name: 'default', before, after });
  expect(plan.models).toEqual([]);
  const risky = planned({
    name: 'default',
    before,
    after: onnx(Buffer.concat([onnxBytes(), Buffer.from([0x12, 0x00])])),
  });
  expect(risky.models[0]?.risks.map(({ rule }) => rule)).toContain('version-reused');
});

test('other weights of the same signature keep the contract', () => {
  const heavier = Buffer.from(onnxBytes());
  heavier.writeFloatLE(9, heavier.indexOf(WEIGHTS));
  const { models } = planned({ name: 'default', before: onnx(onnxBytes()), after: onnx(heavier) });
  expect(models[0]?.risks.map(({ rule }) => rule)).toEqual(['version-reused']);
});

test('cost is that of both sides by the prices of now', () => {
  const more = { ...BEFORE, scaling: { minReplicas: 2, maxReplicas: 5 } };
  const old = { ...BUDGET, prices: { ...BUDGET.prices, cpuHour: 9 } };
  const { models, costs } = planned({
    name: 'default',
    before: side(BEFORE, old),
    after: side(more, BUDGET),
  });
  const expected = {
    before: { min: 146, max: 292 },
    after: { min: 146, max: 365 },
    currency: 'USD',
    unknown: { before: [], after: [] },
  };
  expect(models.map(({ cost }) => cost)).toEqual([expected]);
  expect(costs).toEqual([{ environment: 'default', ...expected }]);
});
