import type { ISecret } from 'cdk8s-plus-28';
import type { ConfigInput, WrittenConfig } from '../config';
import { configSchema } from '../config';
import type { Environment, EnvironmentInput, Fault } from '../spec';
import {
  checked,
  DefinitionError,
  environmentSchema,
  fault,
  fieldsOf,
  parseEnvironment,
  pathParts,
  underEnvironment,
  wireOf,
  wirePath,
  writtenPath,
} from '../spec';
import { entryOf } from '../spec/entry';
import { pathText } from '../spec/path';

/** A path in wire names as the author wrote it, with either names. */
const pathIn = (sections: ConfigInput, wire: readonly PropertyKey[]): string =>
  `config.${pathText(writtenPath(sections, wire))}`;

/** The sections as the service will read them, or the faults that it would report. */
function readSections(sections: ConfigInput): WrittenConfig | readonly Fault[] {
  try {
    return checked(configSchema, sections, 'wire');
  } catch (error) {
    if (!(error instanceof DefinitionError)) throw error;
    return error.faults.map((found) => {
      const path = pathIn(sections, pathParts(found.path));
      return Object.assign({}, found, { path });
    });
  }
}

/**
 * Fields that the construct sets; with another value the objects and the service would disagree.
 */
const DECIDED: Readonly<Record<string, string>> = {
  cluster: 'remove it',
  'server.host': 'remove it',
  'server.port': 'remove it',
  'server.opsPort': 'remove it',
  'server.opsHost': 'remove it',
  'server.grpcPort': 'use grpcPort of ModelService',
  'server.tls': 'use tls of ModelService',
  'auth.keysFile': 'use keys of ModelService',
  'audit.chainKeyFile': 'use auditKey of ModelService',
  'kubernetes.namespace': 'use environment.namespace of ModelService',
  'kubernetes.namespaces': 'use modelNamespaces of ModelService',
  'kubernetes.runtimeNamespace': 'use environment.runtime.namespace of ModelService',
  'kubernetes.mode': 'use mode of ModelService',
  'kubernetes.environment': 'use environment of ModelService',
  'kubernetes.externalMetrics': 'use externalMetrics of ModelService',
};

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

function decidedFaults(sections: ConfigInput): readonly Fault[] {
  const fields = fieldsOf(configSchema, sections, []);
  return Object.entries(DECIDED).flatMap(([path, fix]) => {
    const parts = path.split('.');
    const given = parts.reduce<unknown>(
      (value, key) => (isObject(value) ? entryOf(value, key) : undefined),
      fields,
    );
    if (given === undefined) return [];
    const written = pathIn(sections, wirePath(configSchema, parts));
    return [fault(written, given, 'left out, since ModelService sets it', fix)];
  });
}

const isFaults = (read: WrittenConfig | readonly Fault[]): read is readonly Fault[] =>
  Array.isArray(read);

const NO_KEYS = [
  'a Secret whose keys.yaml lists the keys of the callers, or config.auth.keys; or config.auth.jwt for tokens of an identity provider; or config.auth.mode: none for a service that is open to everyone who reaches it',
  'make a key: npx ai-model-service keys create --name NAME --scopes admin --file keys.yaml; make the Secret: kubectl create secret generic ai-model-service-keys --from-file=keys.yaml; name it: keys: Secret.fromSecretName(chart, "keys", "ai-model-service-keys")',
] as const;

/** Without keys each replica would make an admin key of its own and write it to its log. */
function keyFaults({ auth }: WrittenConfig, secrets: readonly ISecret[]): readonly Fault[] {
  const isStated = auth.mode === 'none' || auth.jwt !== undefined;
  if (isStated || auth.keys.length > 0 || secrets.length > 0) return [];
  return [fault('keys', undefined, ...NO_KEYS)];
}

/** Faults that would stop the service at its start, found before it is installed. */
export function configFaults(
  sections: ConfigInput = {},
  secrets: readonly ISecret[] = [],
): readonly Fault[] {
  const read = readSections(sections);
  return isFaults(read) ? read : [...decidedFaults(sections), ...keyFaults(read, secrets)];
}

/** The sections with wire names, so that they lie over those of the service key by key. */
export function wireSections(sections: ConfigInput = {}): Readonly<Record<string, unknown>> {
  return wireOf(configSchema, fieldsOf(configSchema, sections, []) as object);
}

/** The environment, completed by `models.registry` and `models.default_resources`. */
export function serviceEnvironment(
  environment: EnvironmentInput = {},
  sections: ConfigInput = {},
): Environment {
  const read = readSections(sections);
  return isFaults(read)
    ? parseEnvironment(environment)
    : checked(environmentSchema, underEnvironment(environment, read.models));
}
