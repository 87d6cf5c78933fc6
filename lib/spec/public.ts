// The published subpath `spec`: definitions and environments as data, without cdk8s.
export { costOf, type Amount, type ArmCost, type Cost, type ModelCost } from './cost';
export { defineEnvironment, parseEnvironment, type Environment } from './environment';
export type { EnvironmentInput } from './environmentinput';
export { DefinitionError, type Fault } from './error';
export type { Finding } from './finding';
export { findingsOf } from './findings';
export { definitionHash } from './hash';
export { defineModel } from './model';
export type { ModelInput } from './modelinput';
export { parseModel, type ModelSpec } from './parse';
export { updateModel } from './update';
export { fromWire, toWire, type WireModel } from './wire';
