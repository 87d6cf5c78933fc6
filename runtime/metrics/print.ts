/** The two expositions; they differ in names of counters, exemplars and the end. */
const TEXT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
export const OPENMETRICS_TYPE = 'application/openmetrics-text; version=1.0.0; charset=utf-8';
export type TextType = typeof TEXT_TYPE | typeof OPENMETRICS_TYPE;

/** OpenMetrics when the scraper names it, as Prometheus does; else the text format all understand. */
export function textTypeOf(accept: string | undefined): TextType {
  return /application\/openmetrics-text/i.test(accept ?? '') ? OPENMETRICS_TYPE : TEXT_TYPE;
}

/** https://prometheus.io/docs/instrumenting/exposition_formats/: backslash, quote and line feed are escaped. */
function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

/** `{ model_id: 'iris', arm: 'stable' }` → `model_id="iris",arm="stable"` */
export function labelText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(',');
}
