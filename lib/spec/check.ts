import type { z } from 'zod';
import type { Fault } from './error';
import { DefinitionError } from './error';
import { faultsOf } from './faults';
import { plainFault } from './plain';
import { pathInForm, wordsInForm } from './spelling';
import type { Form } from './wire';
import { fieldsOf } from './wire';

/** The same fault with the field names that its author uses, in the path and in the sentence. */
export function inForm(found: Fault, schema: z.ZodType, form: Form): Fault {
  const { path, message, got, allowed } = found;
  const words = wordsInForm(schema, path, form);
  // The quoted value stays as given.
  const head = got !== undefined && message.startsWith(`got ${got},`) ? `got ${got},` : '';
  return {
    ...found,
    path: pathInForm(schema, path, form),
    message: head + words(message.slice(head.length)),
    ...(allowed !== undefined && { allowed: words(allowed) }),
  };
}

/**
 * Parses plain data by a schema. In wire form (configuration files) snake_case names are
 * understood.
 * @throws DefinitionError with every fault, paths in the form given
 */
export function checked<S extends z.ZodType>(
  schema: S,
  input: unknown,
  form: Form = 'fields',
  file?: string,
): z.output<S> {
  const broken = plainFault(input);
  if (broken !== undefined) throw new DefinitionError([broken], file);
  const faults: Fault[] = [];
  const fields = form === 'wire' ? fieldsOf(schema, input, faults) : input;
  const result = schema.safeParse(fields, { reportInput: true });
  if (result.success && faults.length === 0) return result.data;
  const own = result.error?.issues.flatMap((issue) => faultsOf(issue, schema, form)) ?? [];
  throw new DefinitionError(
    [...faults, ...own].map((found) => inForm(found, schema, form)),
    file,
  );
}
