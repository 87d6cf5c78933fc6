// The published package. Names are written one by one: each is a promise to its users.
export type { ConfigInput } from './config';
export {
  ModelDeployment,
  ModelService,
  type ModelArm,
  type ModelDeploymentProps,
  type ModelServiceProps,
} from './constructs';
export { ruleGroups, type RuleGroup } from './monitoring';
export { objectsOf, type KubeObject } from './objects';
export {
  costOf,
  defineEnvironment,
  defineModel,
  DefinitionError,
  findingsOf,
  parseEnvironment,
  parseModel,
  type Amount,
  type ArmCost,
  type Cost,
  type Environment,
  type EnvironmentInput,
  type Fault,
  type Finding,
  type ModelCost,
  type ModelInput,
  type ModelSpec,
} from './spec/public';
export {
  discover,
  FindingsError,
  loadEnvironments,
  synthesize,
  type Definition,
  type Environments,
  type Synthesis,
} from './synth';
export { LinearApp } from './synth/linear-app';
