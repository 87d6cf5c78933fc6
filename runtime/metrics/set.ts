import { Counter, Gauge, Histogram } from 'prom-client';
import type { Family } from './families';

type MetricOf<F extends Family> = F['type'] extends 'counter'
  ? Counter
  : F['type'] extends 'gauge'
    ? Gauge
    : Histogram;

/** Live metrics, one for each family asked for. */
export type MetricSet<T extends Readonly<Record<string, Family>>> = {
  readonly [K in keyof T]: MetricOf<T[K]>;
};

function metricOf({ name, type, help, labels, buckets }: Family): Counter | Gauge | Histogram {
  // Belongs to no registry: a set goes with its owner, and nothing has to be looked up to remove it.
  const common = { name, help, labelNames: [...labels], registers: [] };
  if (type === 'counter') return new Counter(common);
  if (type === 'gauge') return new Gauge(common);
  return new Histogram({ ...common, buckets: [...(buckets ?? [])], enableExemplars: true });
}

export function createSet<T extends Readonly<Record<string, Family>>>(families: T): MetricSet<T> {
  const entries = Object.entries(families).map(([key, family]) => [key, metricOf(family)]);
  return Object.fromEntries(entries) as MetricSet<T>;
}
