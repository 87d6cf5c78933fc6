import type { FileContent } from './source';
import type { ModelSpec } from './parse';
import { parseModel } from './parse';
import type { WireModel } from './wire';
import { fromWire } from './wire';
import { entryOf, isObject, setEntry } from './entry';

type Plain = Record<string, unknown>;

/** RFC 7386: objects merge, null removes, everything else replaces. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result: Plain = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else setEntry(result, key, mergePatch(entryOf(result, key), value));
  }
  return result;
}

/**
 * A stored definition with a JSON merge patch laid on it, in either form: `{ version, docker_image
 * }`.
 * @throws DefinitionError as `parseModel`
 */
export function updateModel(stored: WireModel, patch: unknown): ModelSpec {
  return parseModel(mergePatch(fromWire(stored), fromWire(patch)));
}

/** Puts the bytes of `file` sources into a definition; `read` gets the URI as it was written. */
export function withFiles(spec: ModelSpec, read: (uri: string) => FileContent): ModelSpec {
  const filled = <T extends { readonly source?: ModelSpec['source'] }>(owner: T): T =>
    owner.source?.scheme === 'file'
      ? { ...owner, source: { ...owner.source, content: read(owner.source.uri) } }
      : owner;
  const [stable, ...rest] = spec.arms;
  return { ...filled(spec), arms: [filled(stable), ...rest.map(filled)] };
}
