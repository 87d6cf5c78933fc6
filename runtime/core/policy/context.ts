import type { Environment, Fault, ModelSpec } from '../../../lib/spec';

/** What the configuration lets models ask for by REST, beside what is their own. */
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

/** A definition that came by REST, or that was found without a known author. */
export interface PolicyContext {
  readonly spec: ModelSpec;
  /**
   * Definitions whose values may stay: the one in force, and for a rollback the revision that is
   * gone back to. Nothing that was written past the service may be among them.
   */
  readonly held: readonly ModelSpec[];
  readonly rules: PolicyRules;
  readonly environment: Pick<Environment, 'registry' | 'images' | 'gpu' | 'runtime'>;
}

/** Something that may not be asked for by REST. */
export interface Violation {
  /** Tells this wish apart from others: one that a held definition has as well may stay. */
  readonly id: string;
  readonly fault: Fault;
}

/** What a rule looks at. */
export type Subject = Omit<PolicyContext, 'held'>;
export type PolicyRule = (subject: Subject) => readonly Violation[];

const MANAGER = 'ai-model-service';

/** Names of the service’s own objects: they win over everything that is allowed. */
export const isServiceName = (name: string): boolean =>
  name === MANAGER || name.startsWith(`${MANAGER}-`);

/** A slug has no `--` in it, so that no other model's names begin with `iris--`. */
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
