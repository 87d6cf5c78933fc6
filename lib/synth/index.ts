export * from './discover';
export * from './environments';
export * from './errors';
export { isDefinitionFile, loadDefinition, NoDefinition, type Definition } from './load';
export { previousIn, type Previous } from './previous';
export * from './synthesize';
export * from './write';
