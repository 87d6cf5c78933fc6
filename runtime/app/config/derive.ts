import type { Environment } from '../../../lib/spec';
import { environmentSchema, fieldsOf, underEnvironment } from '../../../lib/spec';
import type { WrittenConfig } from '../../../lib/config';
import { configSchema } from '../../../lib/config';

/** The configuration with everything that follows from several of its sections. */
export interface Config extends WrittenConfig {
  readonly cluster: 'local' | 'kubernetes';
}

type Sections = Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>;

/** Default of `cluster`: `kubernetes` when a namespace or a kubeconfig is configured. */
function clusterOf({ cluster, kubernetes }: WrittenConfig): Config['cluster'] {
  const { namespace, configPath } = kubernetes;
  return cluster ?? (namespace === undefined && configPath === undefined ? 'local' : 'kubernetes');
}

/** What follows from several sections. @param tree what was parsed, as it was written */
export function derived(config: WrittenConfig, tree: object): Config {
  const { kubernetes, models } = config;
  const cluster = clusterOf(config);
  if (kubernetes.environment === undefined) return { ...config, cluster };
  // Only the text shows which values the environment sets and which are its defaults.
  const written = (fieldsOf(configSchema, tree, []) as Sections)['kubernetes']?.['environment'];
  const environment = environmentSchema.parse(underEnvironment(written, models));
  return { ...config, cluster, kubernetes: { ...kubernetes, environment } };
}

/** Defaults of `models` that an environment overrides. */
export function overruledDefaults({ models }: Config, environment: Environment): readonly string[] {
  const { registry, defaultResources = {} } = models;
  const pairs: readonly (readonly [string, unknown, unknown])[] = [
    ['registry', registry, environment.registry],
    ['default_resources.cpu', defaultResources.cpu, environment.defaultResources.cpu],
    ['default_resources.memory', defaultResources.memory, environment.defaultResources.memory],
    ['default_resources.gpu', defaultResources.gpu, environment.defaultResources.gpu],
  ];
  return pairs
    .map(([key, given, inForce]) => [key, JSON.stringify(given), JSON.stringify(inForce)] as const)
    .filter(([, given, inForce]) => given !== undefined && given !== inForce)
    .map(
      ([key, given, inForce]) =>
        `models.${key} ${given} is not used: the environment says ${inForce}; remove one of the two`,
    );
}
