import type { ISecret } from 'cdk8s-plus-28';
import type { WrittenConfig } from '../config';
import { configSchema } from '../config';
import type { Environment, EnvironmentInput, Fault } from '../spec';
import {
  checked,
  DefinitionError,
  environmentSchema,
  fault,
  fieldsOf,
  parseEnvironment,
  underEnvironment,
  wireOf,
} from '../spec';

/** Sections of config.yaml, in wire names. */
export type ConfigSections = Readonly<Record<string, unknown>>;

/** The sections as the service will read them, or what it would refuse. */
function readSections(sections: ConfigSections): WrittenConfig | readonly Fault[] {
  try {
    return checked(configSchema, sections, 'wire');
  } catch (error) {
    if (!(error instanceof DefinitionError)) throw error;
    return error.faults.map((found) => Object.assign({}, found, { path: `config.${found.path}` }));
  }
}

const isFaults = (read: WrittenConfig | readonly Fault[]): read is readonly Fault[] =>
  Array.isArray(read);

const NO_KEYS = [
  'a Secret whose AI_MODEL_SERVICE__AUTH__KEYS lists the keys, or config.auth.keys; or config.auth.mode: none for a service that is open to everyone who reaches it',
  'make a key: npx ai-model-service keys --name NAME --scopes admin; make the Secret: kubectl create secret generic ai-model-service-keys --from-literal=AI_MODEL_SERVICE__AUTH__KEYS=…; name it: envFrom: [Secret.fromSecretName(chart, "keys", "ai-model-service-keys")]',
] as const;

/** Without keys each replica would make an admin key of its own and write it to its log. */
function keyFaults({ auth }: WrittenConfig, envFrom: readonly ISecret[]): readonly Fault[] {
  if (auth.mode === 'none' || auth.keys.length > 0 || envFrom.length > 0) return [];
  return [fault('envFrom', undefined, ...NO_KEYS)];
}

/** What the service would refuse at its start, found before it is installed. */
export function configFaults(
  sections: ConfigSections = {},
  envFrom: readonly ISecret[] = [],
): readonly Fault[] {
  const read = readSections(sections);
  return isFaults(read) ? read : keyFaults(read, envFrom);
}

/** The sections with wire names, so that they lie over those of the service key by key. */
export function wireSections(sections: ConfigSections = {}): ConfigSections {
  return wireOf(configSchema, fieldsOf(configSchema, sections, []) as object);
}

/** The environment, with `models.registry` and `models.default_resources` where it says nothing. */
export function serviceEnvironment(
  environment: EnvironmentInput = {},
  sections: ConfigSections = {},
): Environment {
  const read = readSections(sections);
  return isFaults(read)
    ? parseEnvironment(environment)
    : checked(environmentSchema, underEnvironment(environment, read.models));
}
