import { DEFINITION_KEY, PREFIX } from '../../../lib/objects';
import type { ModelSpec } from '../../../lib/spec';
import { definitionHash } from '../../../lib/spec';
import type { ModelOverrides } from '../port';
import type { Plain } from './client/object-fields';
import { at, createdAt, listAt, textAt, timeAt } from './client/object-fields';
import type { Held } from './cache/model-record';

/** On the ConfigMap of a definition that is on its way out: routing drains, the definition goes last. */
export const DELETING_ANNOTATION = `${PREFIX}/deleting`;

/** The wire form as it is stored; undefined when there is none. */
export function storedText(configMap: Plain): string | undefined {
  return textAt(configMap, 'data', DEFINITION_KEY);
}

/**
 * The field manager that owns the definition, and since when: of several the latest, for a shared
 * field belongs to whoever agreed to it last.
 */
function ownership(configMap: Plain): { readonly manager: string; readonly at: number } {
  const owners = listAt(configMap, 'metadata', 'managedFields')
    .filter((one) => at(one, 'fieldsV1', 'f:data', `f:${DEFINITION_KEY}`) !== undefined)
    .map((one) => ({
      manager: textAt(one, 'manager') ?? '',
      at: timeAt(one, 'time') ?? createdAt(configMap),
    }))
    .sort((a, b) => b.at - a.at);
  return owners[0] ?? { manager: '', at: createdAt(configMap) };
}

/**
 * What the ConfigMap of a definition says about it.
 * @param spec parsed from `storedText`
 */
export function heldOf(
  configMap: Plain,
  spec: ModelSpec,
  { revision, state }: { readonly revision: number; readonly state?: ModelOverrides | undefined },
): Held {
  const { manager, at: updatedAt } = ownership(configMap);
  const leaving =
    textAt(configMap, 'metadata', 'deletionTimestamp') ??
    at(configMap, 'metadata', 'annotations', DELETING_ANNOTATION);
  return {
    spec,
    revision,
    hash: definitionHash(spec.definition),
    manager,
    createdAt: createdAt(configMap),
    updatedAt,
    deleting: leaving !== undefined,
    ...(state !== undefined && { state }),
  };
}
