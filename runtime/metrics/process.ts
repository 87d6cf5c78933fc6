import type { OpenMetricsContentType, PrometheusContentType } from 'prom-client';
import { collectDefaultMetrics, Registry } from 'prom-client';
import type { TextType } from './print';
import { OPENMETRICS_TYPE } from './print';

/** Metrics of a part of the process, in the requested format, without an end mark. */
export type ProcessText = (format: TextType) => Promise<string>;

/**
 * CPU, memory, file descriptors, garbage collection and event loop of this process, as prom-client
 * collects them for every Node service. Once per process: its observers stay.
 */
export function observeProcess(): ProcessText {
  const registry = new Registry<OpenMetricsContentType | PrometheusContentType>();
  collectDefaultMetrics({ register: registry });
  return async (format) => {
    const isOpen = format === OPENMETRICS_TYPE;
    registry.setContentType(
      isOpen ? Registry.OPENMETRICS_CONTENT_TYPE : Registry.PROMETHEUS_CONTENT_TYPE,
    );
    const text = await registry.metrics();
    return text.replace(/# EOF\n?$/, '').replace(/\n*$/, '\n');
  };
}
