export * from './model-deployment';
export * from './model-service';
export * from './service-props';
export { namespaceChart } from './namespace';
export type { ExternalMetricsOptions } from './service-metrics';
export type { ServiceMode } from './service-rules';
