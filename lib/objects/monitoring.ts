import { modelRuleGroups } from '../monitoring';
import type { Arm } from '../spec';
import type { Context } from './context';
import { factsOf } from './context';
import type { KubeObject } from './kube';
import { metadataOf, selectorOf } from './labels';

const OPERATOR_API = 'monitoring.coreos.com/v1';

/** Annotations by which a Prometheus without operator finds pods. */
export function scrapeAnnotations(
  { spec, environment }: Context,
  arm: Arm,
): Readonly<Record<string, string>> {
  if (environment.monitoring.style !== 'annotations') return {};
  const { port, path } = factsOf(spec, arm).metrics;
  return {
    'prometheus.io/scrape': 'true',
    'prometheus.io/port': String(port),
    'prometheus.io/path': path,
  };
}

/** The endpoints of all arms, each named once: arms may run different servers. */
function endpoints({ spec }: Context): readonly object[] {
  const all = spec.arms.map((arm) => {
    const { httpPort, metrics } = factsOf(spec, arm);
    return { port: metrics.port === httpPort ? 'http' : 'metrics', path: metrics.path };
  });
  return [...new Map(all.map((one) => [JSON.stringify(one), one])).values()];
}

/** Objects of the Prometheus operator: monitors of the pods, and alerting rules. */
export function monitoringObjects(context: Context): readonly KubeObject[] {
  const { spec, environment } = context;
  const { style, selector } = environment.monitoring;
  if (style !== 'operator') return [];
  const metadata = metadataOf(context, spec.slug, undefined, { labels: selector });
  return [
    {
      apiVersion: OPERATOR_API,
      kind: 'PodMonitor',
      metadata,
      spec: {
        selector: { matchLabels: selectorOf(spec) },
        podTargetLabels: Object.keys(selectorOf(spec, spec.arms[0])),
        podMetricsEndpoints: endpoints(context),
      },
    },
    {
      apiVersion: OPERATOR_API,
      kind: 'PrometheusRule',
      metadata,
      spec: { groups: modelRuleGroups(spec, environment) },
    },
  ];
}
