export * from './discover';
export * from './environments';
export * from './errors';
export { loadDefinition, type Definition } from './load';
export { previousIn, type Previous } from './previous';
export * from './synthesize';
export * from './write';
