export * from './constructs';
export * from './objects';
export * from './spec';
export * from './synth';
export { LinearApp } from './synth/linear-app';
