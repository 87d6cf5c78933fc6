import type { Environment, EnvironmentInput, ModelInput } from '../../lib/spec';
import { budgetFindings, costOf, findingsOf, observedCost } from '../../lib/spec';
import { parseEnvironment, parseModel, wireOf } from '../../lib/spec';
import { environmentSchema, checked } from '../../lib/spec';

// Prices of OpenCost's configs/default.json (github.com/opencost/opencost), and one for a product.
// Its spotCPU and spotRAM are 0.2105 of CPU and RAM.
const PRICES = {
  cpuHour: 0.031611,
  memoryGiBHour: 0.004237,
  gpuHour: { 'nvidia.com/gpu': 0.95, 'NVIDIA-A100-SXM4-40GB': 2.933 },
  storageGiBHour: 0.00005479452,
  spotFactor: 0.2105,
};

const priced = (more: EnvironmentInput = {}): Environment =>
  parseEnvironment({ prices: PRICES, ...more });

const BASE = { id: 'm', version: '1.0.0', framework: 'sklearn', source: 's3://models/x' } as const;

type Resources = NonNullable<ModelInput['resources']>;
type ArmRow = readonly [resources: Resources, min: number, max: number];

/** Stable; then a candidate with traffic; then a shadow. */
function modelOf(rows: readonly ArmRow[], more: Partial<ModelInput> = {}, shadow = false) {
  const [stable, ...rest] = rows.map(([resources, minReplicas, maxReplicas]) => ({
    resources,
    scaling: { minReplicas, maxReplicas, ...(minReplicas === 0 && { targetConcurrency: 4 }) },
  }));
  const candidates = rest.map((arm, index) => ({
    ...arm,
    version: `2.${index}.0`,
    ...(index > 0 || shadow ? { shadow: 10 } : { traffic: 10 }),
  }));
  return parseModel({ ...BASE, ...stable, candidates, ...more });
}

type Row = readonly [string, readonly ArmRow[], number, number, Partial<ModelInput>];

// Sums of request × hours × price, 730 hours a month, in exact decimals
// (https://www.opencost.io/docs/specification): cores, GiB of 2^30 bytes, GPUs, GiB of claims. The
// Job that fills a claim requests 0.1 core and 0.25 GiB and runs once, its size / 50 MB/s.
// prettier-ignore
const GOLDENS: readonly Row[] = [
  ['one core', [[{ cpu: '1', memory: '1Gi' }, 1, 1]], 26.17, 26.17, {}],
  ['millicores', [[{ cpu: '500m', memory: '2Gi' }, 2, 2]], 35.45, 35.45, {}],
  ['a range of replicas', [[{ cpu: '2', memory: '8Gi' }, 1, 5]], 70.90, 354.48, {}],
  ['sleep at zero', [[{ cpu: '1', memory: '4Gi' }, 0, 3]], 0.00, 106.34, {}],
  ['a fraction of a core', [[{ cpu: '0.25', memory: '512Mi' }, 3, 3]], 21.95, 21.95, {}],
  ['decimal bytes', [[{ cpu: '1', memory: '8G' }, 1, 2]], 46.12, 92.24, {}],
  ['megabytes', [[{ cpu: '100m', memory: '300M' }, 1, 1]], 3.17, 3.17, {}],
  ['one GPU by resource', [[{ cpu: '4', memory: '16Gi', gpu: 1 }, 1, 1]], 835.29, 835.29, {}],
  ['eight GPUs', [[{ cpu: '32', memory: '256Gi', gpu: 8 }, 1, 2]], 7078.24, 14156.49, {}],
  ['a GPU by product', [[{ cpu: '8', memory: '64Gi', gpu: { count: 1, product: 'NVIDIA-A100-SXM4-40GB' } }, 1, 4]], 2523.65, 10094.60, {}],
  ['two GPUs by product', [[{ cpu: '16', memory: '128Gi', gpu: { count: 2, product: 'NVIDIA-A100-SXM4-40GB' } }, 2, 2]], 10094.60, 10094.60, {}],
  ['a thousand replicas', [[{ cpu: '1', memory: '1Gi' }, 1000, 1000]], 26169.04, 26169.04, {}],
  ['a canary', [[{ cpu: '2', memory: '4Gi' }, 2, 6], [{ cpu: '2', memory: '4Gi' }, 1, 2]], 175.57, 468.19, {}],
  ['a shadow with a GPU', [[{ cpu: '1', memory: '2Gi' }, 2, 4], [{ cpu: '1', memory: '8Gi', gpu: 1 }, 1, 1]], 799.84, 858.37, {}],
  ['a canary and a shadow', [[{ cpu: '1', memory: '2Gi' }, 2, 4], [{ cpu: '1', memory: '2Gi' }, 1, 1], [{ cpu: '500m', memory: '1Gi' }, 1, 2]], 102.42, 175.57, {}],
  ['spot', [[{ cpu: '1', memory: '1Gi' }, 2, 2]], 11.02, 52.34, { scheduling: { spot: true } }],
  ['spot with a GPU', [[{ cpu: '4', memory: '16Gi', gpu: 1 }, 1, 3]], 175.83, 2505.88, { scheduling: { spot: true } }],
  ['a claim of 50 GiB', [[{ cpu: '1', memory: '2Gi' }, 1, 1]], 31.26, 31.26, { cache: { size: '50Gi' }, source: { uri: 's3://models/x', size: '10G' } }],
  ['a claim of 1 TiB and a GPU', [[{ cpu: '8', memory: '64Gi', gpu: { count: 1, product: 'NVIDIA-A100-SXM4-40GB' } }, 1, 2]], 2564.61, 5088.27, { cache: { size: '1Ti' }, source: { uri: 's3://models/x', size: '500G' } }],
  ['the smallest requests', [[{ cpu: '1m', memory: '1Mi' }, 1, 1]], 0.03, 0.03, {}],
];

test.each<Row>(GOLDENS)('%s costs what OpenCost would charge', (name, rows, min, max, more) => {
  const { monthly, unknown } = costOf(modelOf(rows, more, name.startsWith('a shadow')), priced());
  expect(unknown).toEqual([]);
  expect(monthly?.min.toFixed(2)).toBe(min.toFixed(2));
  expect(monthly?.max.toFixed(2)).toBe(max.toFixed(2));
});

const ONE: readonly ArmRow[] = [[{ cpu: '1', memory: '1Gi' }, 1, 2]];
const GPU: readonly ArmRow[] = [[{ cpu: '1', memory: '1Gi', gpu: 1 }, 1, 2]];

test('a missing price makes the cost unknown, and the rest is a lower bound', () => {
  const cost = costOf(modelOf(GPU), priced({ prices: { ...PRICES, gpuHour: {} } }));
  expect(cost.monthly).toBeUndefined();
  expect(cost.unknown).toEqual(['prices.gpuHour[nvidia.com/gpu]']);
  expect(cost.known.min).toBeCloseTo(26.17, 2);
  const spot = { scheduling: { spot: true } };
  const { spotFactor: _, ...full } = PRICES;
  const unknown = costOf(modelOf(ONE, spot), priced({ prices: full }));
  expect([unknown.monthly, unknown.known.min]).toEqual([undefined, 0]);
  expect(unknown.unknown).toEqual(['prices.spotFactor']);
  const unread = parseEnvironment({ prices: { ...PRICES, file: 'prices/x.yaml' } });
  expect(costOf(modelOf(ONE), unread)).toMatchObject({
    monthly: undefined,
    unknown: ['prices.file (prices/x.yaml, not read)'],
  });
});

test('the product of a GPU comes from the definition, or from the selector of its nodes', () => {
  const label = 'nvidia.com/gpu.product';
  const at = (more: Partial<ModelInput>, gpu: EnvironmentInput['gpu'] = {}) =>
    costOf(modelOf(GPU, more), priced({ gpu })).known.min;
  const byProduct = (0.031611 + 0.004237 + 2.933) * 730;
  const product = 'nvidia-a100-sxm4-40gb';
  expect(at({ scheduling: { nodeSelector: { [label]: product } } })).toBeCloseTo(byProduct, 6);
  expect(at({}, { nodeSelector: { [label]: product } })).toBeCloseTo(byProduct, 6);
  expect(at({})).toBeCloseTo((0.031611 + 0.004237 + 0.95) * 730, 6);
});

test('an observation gives the cost of now and of 1,000 requests', () => {
  const model = modelOf(ONE);
  const seen = { replicas: { stable: 2 }, requestsPerSecond: 10 };
  const { now, perThousand } = observedCost(model, priced(), seen);
  expect(now.monthly?.max).toBeCloseTo(2 * 0.035848 * 730, 6);
  expect(perThousand?.max).toBeCloseTo((2 * 0.035848) / 36, 8);
  const idle = observedCost(model, priced(), { ...seen, requestsPerSecond: 0 });
  expect(idle.perThousand).toBeUndefined();
});

test('findings compare a model, and all models together, with the budget', () => {
  const rulesOf = (perModel: number, prices: EnvironmentInput['prices'] = PRICES) =>
    findingsOf(modelOf(ONE), { environment: priced({ prices, budget: { perModel } }) })
      .filter(({ rule }) => rule.startsWith('budget'))
      .map(({ rule, severity, path, reason }) => `${severity} ${rule} ${path}: ${reason}`);
  expect(rulesOf(60)).toEqual([]);
  expect(rulesOf(40)).toEqual([
    'warning budget-maximum scaling.maxReplicas: the model at the most replicas costs 52.34 USD per month, `budget.perModel` is 40.00 USD per month',
  ]);
  expect(rulesOf(20)).toEqual([
    'error budget-exceeded scaling.minReplicas: the model at the fewest replicas costs 26.17 USD per month, `budget.perModel` is 20.00 USD per month',
  ]);
  expect(rulesOf(60, { cpuHour: 0.031611 })).toEqual([
    'warning budget-unknown scaling.maxReplicas: the cost is not known without prices.memoryGiBHour, so the limit cannot be checked; `budget.perModel` is 60.00 USD per month',
  ]);
  const both = [modelOf(ONE), modelOf(ONE)];
  const monthly = (limit: number) =>
    budgetFindings(both, priced({ budget: { monthly: limit } })).map(({ rule }) => rule);
  expect([105, 60, 50].map(monthly)).toEqual([[], ['budget-maximum'], ['budget-exceeded']]);
});

test('files use words with one unit, and the older spelling is read', () => {
  const wire = wireOf(environmentSchema, priced()) as { prices: Record<string, unknown> };
  expect(Object.keys(wire.prices)).toEqual(
    expect.arrayContaining(['cpu_hour', 'memory_gib_hour', 'gpu_hour', 'storage_gib_hour']),
  );
  for (const name of ['memory_gib_hour', 'memory_gi_b_hour']) {
    const read = checked(environmentSchema, { prices: { [name]: 0.5 } }, 'wire');
    expect(read.prices.memoryGiBHour).toBe(0.5);
  }
});
