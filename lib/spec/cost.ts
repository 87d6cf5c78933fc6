import type { Arm } from './arms';
import type { Environment } from './environment';
import { withDefaultGpus } from './environment';
import { entryOf } from './entry';
import type { ModelSpec } from './parse';
import type { Prices } from './prices';
import { downloadSeconds, quantityValue } from './quantity';
import { gpuOf } from './resources';

// What a definition costs, by OpenCost's formula: a container costs the sum over its resources of
// what it requests × the hours that it runs × the price of one hour
// (https://www.opencost.io/docs/specification, "Workload costs"). OpenCost takes the larger of
// request and use; before anything runs there is only the request. GiB are 2^30 bytes, as there.
//
// Example: 2 replicas of 500m and 2Gi at 0.031611 per core and 0.004237 per GiB cost
// 2 × (0.5 × 0.031611 + 2 × 0.004237) × 730 = 35.45 per month.

/** The mean month, as OpenCost and the clouds count it: 8,760 hours / 12. */
const HOURS_PER_MONTH = 730;
const SECONDS_PER_HOUR = 3600;
const GIB = 2 ** 30;

/**
 * Requests of a container that downloads an artifact. It streams to disk: little memory, and a
 * share of one core for digest and unpacking.
 */
export const FETCH_REQUESTS = { cpu: '100m', memory: '256Mi' } as const;

/** Money at the fewest and at the most replicas. */
export interface Amount {
  readonly min: number;
  readonly max: number;
}

export interface Cost {
  /** Per month; undefined when a price is unknown. */
  readonly monthly: Amount | undefined;
  /** The part whose prices are known: a lower bound of the cost. */
  readonly known: Amount;
  /** Prices that are missing, as fields of the environment; each once. */
  readonly unknown: readonly string[];
}

export interface ArmCost extends Cost {
  readonly arm: string;
}

export interface ModelCost extends Cost {
  /** The replicas of each arm, shadows included. */
  readonly arms: readonly ArmCost[];
  /** The claim of `cache`. */
  readonly storage: Cost;
  /** The Jobs that fill it: at most one run of each in a month. */
  readonly jobs: Cost;
}

function costFrom(known: Amount, unknown: readonly string[]): Cost {
  const names = [...new Set(unknown)];
  return { monthly: names.length === 0 ? known : undefined, known, unknown: names };
}

/** The sum of costs; unknown as soon as one of them is. */
export function totalCost(costs: readonly Cost[]): Cost {
  const sum = (key: keyof Amount): number =>
    costs.reduce((total, { known }) => total + known[key], 0);
  return costFrom(
    { min: sum('min'), max: sum('max') },
    costs.flatMap(({ unknown }) => unknown),
  );
}

interface Price {
  readonly name: string;
  readonly value: number | undefined;
}

/** Prices of a file that was not read are unknown. */
const named = (prices: Prices, field: string, value: number | undefined): Price => ({
  name: prices.file === undefined ? `prices.${field}` : `prices.file (${prices.file}, not read)`,
  value: prices.file === undefined ? value : undefined,
});

/** The value of a name in any case: labels of nodes are often copied in small letters. */
function priceNamed(table: Readonly<Record<string, number>>, name: string): number | undefined {
  const wanted = name.toLowerCase();
  return Object.entries(table).find(([key]) => key.toLowerCase() === wanted)?.[1];
}

/** By product, where the definition or the nodes’ selector names it; else by resource. */
function gpuPrice(spec: ModelSpec, arm: Arm, environment: Environment): Price {
  const { gpu, prices } = environment;
  const { resource = gpu.resource, product: own } = gpuOf(arm.resources) ?? { count: 0 };
  const label = gpu.productLabel;
  const selected = entryOf(spec.scheduling.nodeSelector, label) ?? entryOf(gpu.nodeSelector, label);
  const product = own ?? selected;
  const value =
    (product === undefined ? undefined : priceNamed(prices.gpuHour, product)) ??
    priceNamed(prices.gpuHour, resource);
  return named(prices, `gpuHour[${product ?? resource}]`, value);
}

type Line = readonly [quantity: number, price: Price];

function hourly(lines: readonly Line[]): { readonly sum: number; readonly unknown: string[] } {
  const used = lines.filter(([quantity]) => quantity > 0);
  const sum = used.reduce((total, [quantity, { value = 0 }]) => total + quantity * value, 0);
  const unknown = used.flatMap(([, { name, value }]) => (value === undefined ? [name] : []));
  return { sum, unknown };
}

const podLines = (cpu: string, memory: string, prices: Prices): Line[] => [
  [quantityValue(cpu), named(prices, 'cpuHour', prices.cpuHour)],
  [quantityValue(memory) / GIB, named(prices, 'memoryGiBHour', prices.memoryGiBHour)],
];

/**
 * One replica per hour. Preemptible nodes are preferred, not required: the least is a replica on
 * such a node, the most one on any other.
 */
function replicaHour(spec: ModelSpec, arm: Arm, environment: Environment) {
  const { prices, defaultResources } = environment;
  const { cpu = defaultResources.cpu, memory = defaultResources.memory } = arm.resources;
  const gpus = gpuOf(arm.resources)?.count ?? 0;
  const lines = [
    ...podLines(cpu, memory, prices),
    [gpus, gpuPrice(spec, arm, environment)] as const,
  ];
  const { sum, unknown } = hourly(lines);
  if (!spec.scheduling.spot) return { min: sum, max: sum, unknown };
  const factor = named(prices, 'spotFactor', prices.spotFactor);
  const missing = factor.value === undefined ? [factor.name] : [];
  return { min: sum * (factor.value ?? 0), max: sum, unknown: [...unknown, ...missing] };
}

/** Replicas of an arm for a month; the model has the GPUs of its environment. */
function replicasCost(
  spec: ModelSpec,
  arm: Arm,
  environment: Environment,
  replicas: Amount,
): ArmCost {
  const { min, max, unknown } = replicaHour(spec, arm, environment);
  const known = {
    min: min * replicas.min * HOURS_PER_MONTH,
    max: max * replicas.max * HOURS_PER_MONTH,
  };
  return { arm: arm.name, ...costFrom(known, replicas.max > 0 ? unknown : []) };
}

/** Sources that are loaded over the network into the claim, each once. */
function cachedSources({ cache, arms }: ModelSpec) {
  if (cache === undefined) return [];
  const remote = arms.flatMap(({ source }) =>
    source === undefined || source.scheme === 'file' || source.scheme === 'pvc' ? [] : [source],
  );
  return [...new Map(remote.map((one) => [`${one.uri} ${one.sha256}`, one])).values()];
}

function storageCost(spec: ModelSpec, { prices }: Environment): Cost {
  const { cache } = spec;
  if (cache === undefined || cachedSources(spec).length === 0) return totalCost([]);
  const { storageClass = '' } = cache;
  const own = priceNamed(prices.storageClasses ?? {}, storageClass);
  const price = named(prices, 'storageGiBHour', own ?? prices.storageGiBHour);
  const { sum, unknown } = hourly([[quantityValue(cache.size) / GIB, price]]);
  return costFrom({ min: sum * HOURS_PER_MONTH, max: sum * HOURS_PER_MONTH }, unknown);
}

/** A Job does nothing once its artifact is stored, so the least is zero. */
function jobsCost(spec: ModelSpec, { prices }: Environment): Cost {
  const seconds = cachedSources(spec).reduce(
    (total, { size }) => total + downloadSeconds(size ?? spec.cache?.size ?? '0'),
    0,
  );
  const { sum, unknown } = hourly(podLines(FETCH_REQUESTS.cpu, FETCH_REQUESTS.memory, prices));
  const max = (sum * seconds) / SECONDS_PER_HOUR;
  return costFrom({ min: 0, max }, seconds > 0 ? unknown : []);
}

/**
 * Cost of a model in an environment, per month of 730 hours, in the currency of its prices: `min`
 * at the fewest replicas of every arm, `max` at the most. Replicas of an update, logs, network and
 * what `overrides` change do not count.
 */
export function costOf(spec: ModelSpec, environment: Environment): ModelCost {
  const filled = withDefaultGpus(spec, environment);
  const arms = filled.arms.map((arm) => {
    const { minReplicas: min, maxReplicas: max } = arm.scaling;
    return replicasCost(filled, arm, environment, { min, max });
  });
  const storage = storageCost(filled, environment);
  const jobs = jobsCost(filled, environment);
  return { ...totalCost([...arms, storage, jobs]), arms, storage, jobs };
}

/** What was seen of a model. */
export interface ModelObservation {
  /** Replicas of each arm, by its name. */
  readonly replicas: Readonly<Record<string, number>>;
  /** Answered requests per second, of all arms with traffic. */
  readonly requestsPerSecond: number;
}

export interface ObservedCost {
  /** At the replicas that run; a range only where prices are (preemptible nodes). */
  readonly now: Cost;
  /** Per 1,000 requests; undefined without requests, or without a price. */
  readonly perThousand: Amount | undefined;
}

/** Cost of a model as it runs now. Arms that were not seen run no replica. */
export function observedCost(
  spec: ModelSpec,
  environment: Environment,
  { replicas, requestsPerSecond }: ModelObservation,
): ObservedCost {
  const filled = withDefaultGpus(spec, environment);
  const seen = new Map(Object.entries(replicas));
  const arms = filled.arms.map((arm) => {
    const count = seen.get(arm.name) ?? 0;
    return replicasCost(filled, arm, environment, { min: count, max: count });
  });
  const now = totalCost([...arms, storageCost(filled, environment)]);
  const thousands = (requestsPerSecond * SECONDS_PER_HOUR * HOURS_PER_MONTH) / 1000;
  if (now.monthly === undefined || thousands <= 0) return { now, perThousand: undefined };
  const { min, max } = now.monthly;
  return { now, perThousand: { min: min / thousands, max: max / thousands } };
}
