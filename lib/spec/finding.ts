import type { Environment } from './environment';
import type { ModelSpec } from './parse';

/** Something that is legal but probably wrong (warning), or cannot work in this environment (error). */
export interface Finding {
  readonly rule: string;
  readonly severity: 'error' | 'warning';
  readonly model: string;
  readonly path: string;
  /** What is the matter and why it matters. */
  readonly reason: string;
  readonly fix: string;
}

export interface FindingContext {
  readonly environment: Environment;
  /** The definition that this one replaces, when known. */
  readonly previous?: ModelSpec | undefined;
  /** `YYYY-MM-DD`; waivers that ended before it do not count. Without it none has ended. */
  readonly today?: string | undefined;
}

/** What a rule says; the rule’s name and the model are added. */
export type Found = Omit<Finding, 'rule' | 'severity' | 'model'>;

export interface FindingRule {
  readonly id: string;
  readonly severity: Finding['severity'];
  readonly check: (spec: ModelSpec, context: FindingContext) => readonly Found[];
}
