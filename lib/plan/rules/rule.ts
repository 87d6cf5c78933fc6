import type { ModelChange } from '../change';
import type { Risk } from '../schema';

export type FoundRisk = Pick<Risk, 'path' | 'reason' | 'fix'>;

/** A rule of the table in index.ts. */
export interface PlanRule {
  readonly id: string;
  readonly severity: Risk['severity'];
  /** When it speaks, for the documentation. */
  readonly when: string;
  readonly check: (change: ModelChange) => readonly FoundRisk[];
}

/** A value in a sentence. Printers set it as code, so it must not end the code itself. */
export function quoted(value: unknown): string {
  return `\`${String(value).replaceAll('`', '’')}\``;
}

export const listed = (values: readonly string[]): string => values.map(quoted).join(', ');

/** `3.5 %`. */
export const percentText = (percent: number): string => `${percent} %`;
