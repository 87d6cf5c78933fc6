import { ApiObject, Chart } from 'cdk8s';
import type { Construct } from 'constructs';
import { NAMESPACE_FILE, namespaceOf } from '../objects';
import type { Environment } from '../spec';

/** `0000-namespace`: the file sorts before all others, so that the namespace is made first. */
const CHART = NAMESPACE_FILE.replace(/\..*$/, '');

/**
 * The chart with the namespaces of an app, each once, when the environment wants its own to be
 * made; else the chart as it is, or none.
 */
export function namespaceChart(
  app: Construct,
  environment: Environment,
  name = environment.namespace,
): Chart | undefined {
  const found = app.node.tryFindChild(CHART);
  const known = found instanceof Chart ? found : undefined;
  const namespace = namespaceOf(environment, name);
  if (namespace === undefined) return known;
  const chart = known ?? new Chart(app, CHART);
  // oxlint-disable-next-line no-new
  if (chart.node.tryFindChild(name) === undefined) new ApiObject(chart, name, namespace);
  return chart;
}
