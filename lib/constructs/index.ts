export * from './model-deployment';
export * from './model-service';
export { namespaceChart } from './namespace';
export type { ServiceMode } from './service-rules';
