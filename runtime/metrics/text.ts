import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Counter, Metric, MetricObjectWithValues, MetricValue } from 'prom-client';
import { Registry } from 'prom-client';
import type { Family } from './families';

/** How long a scrape may hold the event loop in one go; a third of what is promised (5 ms). */
const SLICE_MS = 1.5;

export const TEXT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;
export const OPENMETRICS_TYPE = Registry.OPENMETRICS_CONTENT_TYPE;
export type TextType = typeof TEXT_TYPE | typeof OPENMETRICS_TYPE;

/** OpenMetrics when the scraper names it, as Prometheus does; else the text format all understand. */
export function textTypeOf(accept: string | undefined): TextType {
  return /application\/openmetrics-text/i.test(accept ?? '') ? OPENMETRICS_TYPE : TEXT_TYPE;
}

/** All metrics of one family, over all models and arms. */
export interface Group {
  readonly family: Family;
  readonly metrics: readonly Metric[];
}

/** Waits one turn of the event loop whenever the present slice is used up. */
function createPacer(): () => Promise<void> {
  let began = performance.now();
  return async () => {
    if (performance.now() - began < SLICE_MS) return;
    await nextTurn();
    began = performance.now();
  };
}

function createRegistry(type: TextType): Registry {
  // The types of the library tie the content type to the class; both classes print alike.
  const registry = new Registry();
  registry.setContentType(type as typeof TEXT_TYPE);
  return registry;
}

/** OpenMetrics names a counter without `_total`; its samples carry it. */
function printedName({ name, type }: Family, format: TextType): string {
  return format === OPENMETRICS_TYPE && type === 'counter' ? name.replace(/_total$/, '') : name;
}

/** The same metric under the name it is printed with. */
function renamed(metric: Metric, name: string): Metric {
  const get = async (): Promise<MetricObjectWithValues<MetricValue<string>>> => ({
    ...(await (metric as Counter).get()),
    name,
  });
  return { name, get } as unknown as Metric;
}

async function samplesOf(
  registry: Registry,
  metric: Metric,
  { name: own }: Family,
  name: string,
): Promise<readonly string[]> {
  registry.clear();
  registry.registerMetric(name === own ? metric : renamed(metric, name));
  const printed = await registry.getSingleMetricAsString(name);
  // The first two lines are HELP and TYPE: they belong to the family, not to each of its metrics.
  return printed.split('\n').slice(2);
}

/** Prints all groups, a slice at a time: requests go on between slices. */
export async function printGroups(groups: readonly Group[], format: TextType): Promise<string> {
  const registry = createRegistry(format);
  const pause = createPacer();
  const parts: string[] = [];
  for (const { family, metrics } of groups) {
    const name = printedName(family, format);
    parts.push(`# HELP ${name} ${family.help}`, `# TYPE ${name} ${family.type}`);
    for (const metric of metrics) {
      parts.push(...(await samplesOf(registry, metric, family, name)));
      await pause();
    }
  }
  return `${parts.join('\n')}\n${format === OPENMETRICS_TYPE ? '# EOF\n' : ''}`;
}
