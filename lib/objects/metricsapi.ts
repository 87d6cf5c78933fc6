import { MANAGER } from './labels';

// Where autoscalers find the metrics of the service; the same for what is rendered and what is
// served.

export const METRICS_GROUP = 'external.metrics.k8s.io';
export const METRICS_VERSION = 'v1beta1';
/** There is one for each group and version in a cluster. */
export const METRICS_API_SERVICE = `${METRICS_VERSION}.${METRICS_GROUP}`;
/** The Service that the API server calls. */
export const METRICS_SERVICE = `${MANAGER}-metrics`;
