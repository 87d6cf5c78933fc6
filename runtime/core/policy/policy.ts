import type { Fault, ModelSpec } from '../../../lib/spec';
import { CODE_RULES } from './code';
import type { PolicyContext, PolicyRule, Violation } from './context';
import { GRANT_RULES } from './grants';
import { METADATA_RULES } from './metadata';
import { SOURCE_RULES } from './sources';

export type { PolicyRules } from './context';

const RULES: readonly PolicyRule[] = [
  ...SOURCE_RULES,
  ...CODE_RULES,
  ...GRANT_RULES,
  ...METADATA_RULES,
];

/**
 * Faults of a definition by REST: REST allows less than Git, with any key. The definition is
 * checked, not its objects: without `overrides` every object follows from fields that these rules
 * know.
 *
 * Values of a held definition may stay. docs/rest-api.md lists the allowed ones.
 */
export function policyFaults({ held, ...subject }: PolicyContext): readonly Fault[] {
  const violationsOf = (spec: ModelSpec): readonly Violation[] =>
    RULES.flatMap((rule) => rule({ ...subject, spec }));
  const found = violationsOf(subject.spec);
  if (found.length === 0) return [];
  const stays = new Set(held.flatMap(violationsOf).map(({ id }) => id));
  const wrong = found.filter(({ id }) => !stays.has(id));
  // A value that candidates inherit is reported once, at its origin.
  const first = new Map(wrong.toReversed().map(({ id, fault }) => [id, fault]));
  return wrong.flatMap(({ id, fault }) => (first.get(id) === fault ? [fault] : []));
}
