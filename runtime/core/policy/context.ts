import type { ModelSpec } from '../../../lib/spec';

/** Who asks for what, and what the configuration allows. */
export interface PolicyContext {
  /** The definition that the objects were made from. */
  readonly spec: ModelSpec;
  /** The one in force: what it already has, an administrator has seen. */
  readonly before?: ModelSpec | undefined;
  readonly namespace: string;
  /** The caller has the scope `admin`. */
  readonly admin: boolean;
  /** `kubernetes.allowed_secrets`: Secrets and ConfigMaps that models may name. */
  readonly allowedSecrets: readonly string[];
  /** Pull Secrets of the environment: images are pulled with them, no container sees them. */
  readonly pullSecrets: readonly string[];
  /** `models.allowed_registries`; undefined: any. */
  readonly allowedRegistries?: readonly string[] | undefined;
  /** Images of the environment: our own, and those of the servers. */
  readonly trustedImages: readonly string[];
  /** `models.allowed_hosts`; undefined: any. */
  readonly allowedHosts?: readonly string[] | undefined;
  /** Names of the service’s own account, Secrets, ConfigMaps and claims. */
  readonly own: readonly string[];
  /** Labels by which the service’s own pods are found, as of its Services. */
  readonly ownLabels: Readonly<Record<string, string>>;
  /** SHA-256 of the files that `discover` read or earlier revisions hold. */
  readonly knownFiles: ReadonlySet<string>;
}

// lib/objects names these; the core may only take its types. A test compares them.
const PREFIX = 'ai-model.suoke.life';
export const MODEL_LABEL = `${PREFIX}/model`;
export const ARM_LABEL = `${PREFIX}/arm`;
export const DEFINITION_LABEL = `${PREFIX}/definition`;
export const DEFINITION_KEY = 'definition.json';
const MANAGER = 'ai-model-service';

/** Objects of an arm: `iris`, `iris--v2`. */
export function armOfName({ spec }: PolicyContext, name: string): string | undefined {
  const { slug } = spec;
  return spec.arms.find((arm) => name === (arm.name === 'stable' ? slug : `${slug}--${arm.name}`))
    ?.name;
}

/** The service's own names win over everything that is allowed. */
export function isOwnName({ own }: PolicyContext, name: string): boolean {
  return own.includes(name) || name === MANAGER || name.startsWith(`${MANAGER}-`);
}

/** A slug has no `--` in it, so that `iris--` begins nobody else's names. */
export const isOfModel = ({ spec }: PolicyContext, name: string): boolean =>
  name.startsWith(`${spec.slug}--`);
