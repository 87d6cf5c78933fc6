import { MANAGER } from './labels';

// Names of the metrics API, for rendered autoscalers and for the server of it.

export const METRICS_GROUP = 'external.metrics.k8s.io';
export const METRICS_VERSION = 'v1beta1';
/** A cluster has one for each group and version. */
export const METRICS_API_SERVICE = `${METRICS_VERSION}.${METRICS_GROUP}`;
/** The Service that the API server calls. */
export const METRICS_SERVICE = `${MANAGER}-metrics`;
