import type { Arm, Environment, ModelSpec, ServerFacts } from '../spec';
import { definitionHash, serverFacts } from '../spec';

/** Inputs of every object of a model. */
export interface Context {
  readonly spec: ModelSpec;
  readonly environment: Environment;
  /** Hash of the definition; an annotation of objects, never of pod templates. */
  readonly hash: string;
}

export function contextOf(spec: ModelSpec, environment: Environment): Context {
  return { spec, environment, hash: definitionHash(spec.definition) };
}

/** Facts about the server of an arm. */
export function factsOf(spec: ModelSpec, arm: Arm): ServerFacts {
  return serverFacts(arm.server, spec.health.path);
}

/** Characters of a hash in object names: enough to tell the contents of one model apart. */
const NAME_HASH_CHARACTERS = 8;

/** A short hash of some content, for a name that changes with it. */
export function nameHash(content: Readonly<Record<string, unknown>>): string {
  return definitionHash(content).slice(0, NAME_HASH_CHARACTERS);
}
