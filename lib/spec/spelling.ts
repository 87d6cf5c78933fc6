import type { z } from 'zod';
import { pathParts, pathText } from './path';
import { schemaFor } from './walk';
import type { Form } from './wire';
import { wirePath } from './wire';

// Authors write field names (TypeScript) or wire names (YAML, JSON, REST). Messages use the
// author's form: in the path of a fault, and for each field between backticks.

type Path = readonly PropertyKey[];

/** A field in a sentence: `maxReplicas`, `inference.timeoutSeconds`. */
const NAMED = /`([A-Za-z]\w*(?:\.\w+)*)`/g;

export function pathInForm(schema: z.ZodType, path: string, form: Form): string {
  return form === 'fields' ? path : pathText(wirePath(schema, pathParts(path)));
}

/** The part of `path` that has the field `name`: the whole, or else the innermost. */
function ownerOf(schema: z.ZodType, path: Path, name: Path): Path | undefined {
  const inner = path.map((_, depth) => path.slice(0, path.length - depth));
  return [[], ...inner].find((owner) => schemaFor(schema, [...owner, ...name]) !== undefined);
}

/** Spelling of the fields in a sentence about `path`. */
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
