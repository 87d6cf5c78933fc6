export * from './model-deployment';
