import { z } from 'zod';
import { modelSchema } from './model';
import { DEFAULT_GPU_RESOURCE, gpuSchema, resourcesSchema } from './resources';
import type { Form } from './wire';
import { wireName } from './wire';

type JsonSchema = Record<string, unknown>;

function renameProperties(owner: z.core.$ZodType, schema: JsonSchema): void {
  const properties = (schema['properties'] ?? {}) as Record<string, unknown>;
  const rename = (key: string): string => wireName(owner, key);
  schema['properties'] = Object.fromEntries(
    Object.entries(properties).map(([key, value]) => [rename(key), value]),
  );
  const required = schema['required'];
  if (Array.isArray(required)) schema['required'] = required.map((key) => rename(String(key)));
  if (owner === resourcesSchema) {
    const { description } = gpuSchema;
    Object.assign(schema['properties'] as JsonSchema, {
      [DEFAULT_GPU_RESOURCE]: { type: ['string', 'integer'], pattern: '^[0-9]{1,3}$', description },
    });
  }
}

function schemaOf(form: Form): JsonSchema {
  const schema: JsonSchema = z.toJSONSchema(modelSchema, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      if (form === 'wire' && zodSchema instanceof z.ZodObject) {
        renameProperties(zodSchema, jsonSchema as JsonSchema);
      }
    },
  });
  // The document names its dialect once, at the top.
  delete schema['$schema'];
  return schema;
}

/**
 * The schema of a definition for editors, in both forms: a definition with `model_id` is in wire
 * form. Rules over several fields are not in it; `ai-model-service validate` checks them.
 */
export function modelJsonSchema(): JsonSchema {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Model definition',
    description:
      'A model as ai-model-service deploys it. Field names or wire names; see docs/definition.md.',
    if: { required: ['model_id'] },
    // A keyword of JSON Schema; schemas are never awaited.
    // oxlint-disable-next-line unicorn/no-thenable
    then: schemaOf('wire'),
    else: schemaOf('fields'),
  };
}
