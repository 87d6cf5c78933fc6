import type { z } from 'zod';
import { pathParts, pathText } from './path';
import { schemaFor } from './walk';
import type { Form } from './wire';
import { wirePath } from './wire';

// Authors write field names (TypeScript) or wire names (YAML, JSON, REST). What we tell them names
// fields as they do: the path of a fault, and each field that a sentence has between backticks.

type Path = readonly PropertyKey[];

/** A field in a sentence: `maxReplicas`, `inference.timeoutSeconds`. */
const NAMED = /`([A-Za-z]\w*(?:\.\w+)*)`/g;

export function pathInForm(schema: z.ZodType, path: string, form: Form): string {
  return form === 'fields' ? path : pathText(wirePath(schema, pathParts(path)));
}

/** Where `name` is a field: in the whole, or else in the innermost part of `path` that has it. */
function ownerOf(schema: z.ZodType, path: Path, name: Path): Path | undefined {
  const inner = path.map((_, depth) => path.slice(0, path.length - depth));
  return [[], ...inner].find((owner) => schemaFor(schema, [...owner, ...name]) !== undefined);
}

/** How to spell the fields in a sentence about what stands at `path`. */
export function wordsInForm(
  schema: z.ZodType,
  path: string,
  form: Form,
): (sentence: string) => string {
  if (form === 'fields') return (sentence) => sentence;
  return (sentence) =>
    sentence.replace(NAMED, (written, name: string) => {
      const owner = ownerOf(schema, pathParts(path), pathParts(name));
      if (owner === undefined) return written;
      const wire = wirePath(schema, [...owner, ...pathParts(name)]);
      return `\`${pathText(wire.slice(owner.length))}\``;
    });
}
