import type { Environment, Fault, ModelSpec } from '../../../lib/spec';

/** Allow-lists of the configuration for models by REST, in addition to a model's own objects. */
export interface PolicyRules {
  /** `models.allowed_registries`; undefined: any. */
  readonly registries?: readonly string[] | undefined;
  /** `models.allowed_hosts`; undefined: any public one. */
  readonly hosts?: readonly string[] | undefined;
  /** `kubernetes.allowed_secrets` */
  readonly secrets?: readonly string[] | undefined;
  /** `kubernetes.allowed_claims` */
  readonly claims?: readonly string[] | undefined;
  /** `kubernetes.allowed_metadata`: keys of labels and annotations, or `prefix/*`. */
  readonly metadata?: readonly string[] | undefined;
  /** `kubernetes.allowed_nodes`: keys of node selectors and tolerations, or `prefix/*`. */
  readonly nodes?: readonly string[] | undefined;
  /** `kubernetes.allowed_classes`: names of priority, runtime and storage classes. */
  readonly classes?: readonly string[] | undefined;
}

/** A definition by REST, or one without a known author. */
export interface PolicyContext {
  readonly spec: ModelSpec;
  /**
   * Definitions whose values may stay: the one in force, and for a rollback the target revision.
   * Definitions written past the service are excluded.
   */
  readonly held: readonly ModelSpec[];
  readonly rules: PolicyRules;
  readonly environment: Pick<Environment, 'registry' | 'images' | 'gpu' | 'runtime'>;
}

/** A value that is not allowed by REST. */
export interface Violation {
  /** Identity of the value: it is allowed if a held definition has it as well. */
  readonly id: string;
  readonly fault: Fault;
}

/** Inputs of a rule. */
export type Subject = Omit<PolicyContext, 'held'>;
export type PolicyRule = (subject: Subject) => readonly Violation[];

const MANAGER = 'ai-model-service';

/** Names of the service’s own objects: they are reserved, whatever the allow-lists say. */
export const isServiceName = (name: string): boolean =>
  name === MANAGER || name.startsWith(`${MANAGER}-`);

/** A slug has no `--`, so names of other models do not begin with `iris--`. */
export const isOfModel = ({ slug }: ModelSpec, name: string): boolean =>
  name.startsWith(`${slug}--`) && !isServiceName(name);

/** An entry is a key, or `prefix/*`. */
export function isListedKey(entries: readonly string[], key: string): boolean {
  return entries.some((entry) =>
    entry.endsWith('/*') ? key.startsWith(entry.slice(0, -1)) : entry === key,
  );
}

/** `candidates[0].image` → `image`: a value may move from one arm to another. */
export const fieldOf = (path: string): string => path.replace(/^candidates\[\d+\]\./, '');
