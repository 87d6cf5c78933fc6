import { z } from 'zod';
import { entryOf } from './entry';

/** The inner schema of an optional, default, pipe (transform) or the like; undefined for others. */
function within(schema: z.core.$ZodType): z.core.$ZodType | undefined {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodNullable
  ) {
    return schema.def.innerType;
  }
  return schema instanceof z.ZodPipe ? schema.def.in : undefined;
}

/** Unwraps optional, default, pipe (transform) and the like: the inner schema decides the shape. */
export function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  const inner = within(schema);
  return inner === undefined ? schema : unwrap(inner);
}

/** The literal `kind` of an option of a union. */
export function kindOf(option: z.core.$ZodType): string | undefined {
  const inner = unwrap(option);
  const kind = inner instanceof z.ZodObject ? inner.shape['kind'] : undefined;
  return kind instanceof z.ZodLiteral ? String([...kind.values][0]) : undefined;
}

/** The option of a union for a value: by `kind`, else by its keys. */
export function optionFor(
  options: readonly z.core.$ZodType[],
  value: unknown,
): z.core.$ZodType | undefined {
  const objects = options.map(unwrap);
  if (typeof value !== 'object' || value === null)
    return objects.find((one) => !(one instanceof z.ZodObject));
  if (Array.isArray(value)) return objects.find((one) => one instanceof z.ZodArray);
  const kind = (value as { kind?: unknown }).kind;
  const byKind = objects.find((one) => kindOf(one) !== undefined && kindOf(one) === kind);
  if (byKind !== undefined) return byKind;
  const keys = Object.keys(value);
  const shared = (one: z.core.$ZodType): number =>
    one instanceof z.ZodObject ? keys.filter((key) => Object.hasOwn(one.shape, key)).length : -1;
  return [...objects]
    .sort((a, b) => shared(b) - shared(a))
    .find((one) => one instanceof z.ZodObject);
}

/** The schema of one field, element or entry; undefined when the schema knows none. */
export function child(schema: z.core.$ZodType, key: PropertyKey): z.core.$ZodType | undefined {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodObject) return entryOf(inner.shape, String(key));
  if (inner instanceof z.ZodArray) return inner.def.element;
  if (inner instanceof z.ZodRecord) return inner.def.valueType;
  if (inner instanceof z.ZodUnion) {
    return inner.options
      .map((option: z.core.$ZodType) => child(option, key))
      .find((one) => one !== undefined);
  }
  return undefined;
}

/** The schema at a path; undefined when there is none. */
export function schemaFor(
  root: z.core.$ZodType,
  path: readonly PropertyKey[],
): z.core.$ZodType | undefined {
  return path.reduce<z.core.$ZodType | undefined>(
    (schema, key) => (schema === undefined ? undefined : child(schema, key)),
    root,
  );
}

/** The description of a schema, or of the schema that it wraps. */
export function descriptionOf(schema: z.core.$ZodType): string | undefined {
  const own = z.globalRegistry.get(schema)?.description;
  const inner = within(schema);
  return own ?? (inner === undefined ? undefined : descriptionOf(inner));
}
