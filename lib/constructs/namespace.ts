import { ApiObject, Chart } from 'cdk8s';
import type { Construct } from 'constructs';
import { NAMESPACE_FILE, namespaceOf } from '../objects';
import type { Environment } from '../spec';

/** `0000-namespace`: the file sorts before all others, so that the namespace is made first. */
const CHART = NAMESPACE_FILE.replace(/\..*$/, '');

/** The chart with the namespace of an environment, once in an app; none unless it is to be made. */
export function namespaceChart(app: Construct, environment: Environment): Chart | undefined {
  const known = app.node.tryFindChild(CHART);
  if (known instanceof Chart) return known;
  const namespace = namespaceOf(environment);
  if (namespace === undefined) return undefined;
  const chart = new Chart(app, CHART);
  // oxlint-disable-next-line no-new
  new ApiObject(chart, 'namespace', namespace);
  return chart;
}
