import type { Fault, ModelSpec } from '../../../lib/spec';
import { CODE_RULES } from './code';
import type { PolicyContext, PolicyRule, Violation } from './context';
import { GRANT_RULES } from './grants';
import { METADATA_RULES } from './metadata';
import { SOURCE_RULES } from './sources';

export type { PolicyContext, PolicyRules } from './context';

const RULES: readonly PolicyRule[] = [
  ...SOURCE_RULES,
  ...CODE_RULES,
  ...GRANT_RULES,
  ...METADATA_RULES,
];

/**
 * What a definition by REST asks for and must not: REST speaks a smaller language than Git,
 * whatever the scopes of the key. The definition is read, not what becomes of it: without
 * `overrides` every object follows from fields that these rules know.
 *
 * What a held definition has may stay. docs/rest-api.md says what may be asked for.
 */
export function policyFaults({ held, ...subject }: PolicyContext): readonly Fault[] {
  const violationsOf = (spec: ModelSpec): readonly Violation[] =>
    RULES.flatMap((rule) => rule({ ...subject, spec }));
  const found = violationsOf(subject.spec);
  if (found.length === 0) return [];
  const stays = new Set(held.flatMap(violationsOf).map(({ id }) => id));
  const wrong = found.filter(({ id }) => !stays.has(id));
  // What a candidate inherits is said once, where it stands.
  const first = new Map(wrong.toReversed().map(({ id, fault }) => [id, fault]));
  return wrong.flatMap(({ id, fault }) => (first.get(id) === fault ? [fault] : []));
}
