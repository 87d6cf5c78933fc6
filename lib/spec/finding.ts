import type { Environment } from './environment';
import type { ModelSpec } from './parse';

/** Something that is legal but probably wrong (warning), or cannot work in this environment (error). */
export interface Finding {
  readonly rule: string;
  readonly severity: 'error' | 'warning';
  readonly model: string;
  readonly path: string;
  /** The cause, and why it matters. */
  readonly reason: string;
  readonly fix: string;
}

export interface FindingContext {
  readonly environment: Environment;
  /** The replaced definition, when known. */
  readonly previous?: ModelSpec | undefined;
  /** `YYYY-MM-DD`; waivers that ended before it do not count. Without it none has ended. */
  readonly today?: string | undefined;
}

/** The result of a rule; the rule’s name and the model are added. */
export type Found = Omit<Finding, 'rule' | 'severity' | 'model'>;

export interface FindingRule {
  readonly id: string;
  readonly severity: Finding['severity'];
  readonly check: (spec: ModelSpec, context: FindingContext) => readonly Found[];
}
