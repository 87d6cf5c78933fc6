import type { Arm, Environment, ModelSpec, ServerFacts } from '../spec';
import { definitionHash, serverFacts } from '../spec';

/** What every object of a model is made from. */
export interface Context {
  readonly spec: ModelSpec;
  readonly environment: Environment;
  /** Hash of the definition; it stands on objects, never on pod templates. */
  readonly hash: string;
}

export function contextOf(spec: ModelSpec, environment: Environment): Context {
  return { spec, environment, hash: definitionHash(spec.definition) };
}

/** What is known of the server of an arm. */
export function factsOf(spec: ModelSpec, arm: Arm): ServerFacts {
  return serverFacts(arm.server, spec.health.path);
}

/** Characters of a hash in object names: enough to tell the contents of one model apart. */
export const NAME_HASH_CHARACTERS = 8;

/** A short hash of some content, for a name that changes with it. */
export function nameHash(content: Readonly<Record<string, unknown>>): string {
  return definitionHash(content).slice(0, NAME_HASH_CHARACTERS);
}
