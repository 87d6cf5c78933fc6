import type { PolicyContext } from './policy/context';
import { definitionViolations } from './policy/definition';
import { objectViolations } from './policy/kinds';
import type { Violation } from './policy/shape';

export { presumedFields } from './policy/definition';
export type { PolicyContext } from './policy/context';
export type { Violation } from './policy/shape';

/**
 * What a definition by REST asks for and must not: a writer of definitions gains no more than
 * models of its own. Looks at the finished JSON, so that no way to it can be forgotten, and at the
 * definition for what is no longer to be seen there.
 *
 * The rules on objects are an allow-list and hold for administrators, too: a key of this service is
 * no key of the cluster. With the scope admin `overrides`, `command`, `args`, foreign registries and
 * annotations that others act on may be set; what is set stays when somebody else changes the rest.
 */
export function policyViolations(
  objects: readonly unknown[],
  context: PolicyContext,
): readonly Violation[] {
  const all = [
    ...definitionViolations(context),
    ...objects.flatMap((object) => objectViolations(context, object)),
  ];
  return [...new Map(all.map((one) => [one.message, one])).values()];
}
