import { z } from 'zod';
import type { Fault } from './error';
import { DefinitionError, fault } from './error';
import { candidateSchema } from './candidates';
import { healthSchema } from './health';
import type { ModelInput } from './modelinput';
import { modelSchema } from './model';
import { pathText } from './path';
import { plainFault } from './plain';
import { priceFileSchema, pricesSchema } from './prices';
import { DEFAULT_GPU_RESOURCE, resourcesSchema } from './resources';
import { child, kindOf, optionFor, schemaFor, unwrap } from './walk';
import { entryOf, isObject, setEntry } from './entry';

/** A definition as REST, YAML and the stored form write it: snake_case and a few historic names. */
export type WireModel = Readonly<Record<string, unknown>>;

/** Historic names; all others are camelCase ↔ snake_case. */
const ARM_NAMES = {
  image: 'docker_image',
  source: 'repository_url',
  resources: 'resource_requirements',
  scaling: 'scaling_config',
  env: 'environment_variables',
};
/** A unit is one word. */
const PRICE_NAMES = { memoryGiBHour: 'memory_gib_hour', storageGiBHour: 'storage_gib_hour' };
const HISTORIC = new Map<z.core.$ZodType, Readonly<Record<string, string>>>([
  [modelSchema, { ...ARM_NAMES, id: 'model_id', type: 'model_type', health: 'health_check' }],
  [unwrap(candidateSchema), ARM_NAMES],
  [unwrap(healthSchema), { initialDelaySeconds: 'initial_delay', periodSeconds: 'period' }],
  [unwrap(pricesSchema), PRICE_NAMES],
  [priceFileSchema, PRICE_NAMES],
]);

const snake = (name: string): string =>
  name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** The wire name of a field of an object schema. */
export function wireName(owner: z.core.$ZodType, key: string): string {
  return entryOf(HISTORIC.get(owner), key) ?? snake(key);
}

const camel = (name: string): string =>
  name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

/** The names that an author may use for a field, given its wire name. */
function writtenNames(wire: string): readonly string[] {
  const historic = [...HISTORIC.values()].flatMap((names) =>
    Object.keys(names).filter((field) => entryOf(names, field) === wire),
  );
  return [wire, camel(wire), ...historic];
}

/**
 * A path in wire names, in the form of the value's author: `['resource_requirements', 'cpu']` is
 * `['resources', 'cpu']` in a definition with field names. Parts that the value lacks stay
 * unchanged.
 */
export function writtenPath(value: unknown, path: readonly PropertyKey[]): PropertyKey[] {
  let here = value;
  return path.map((key) => {
    const names = isObject(here) && typeof key === 'string' ? writtenNames(key) : [];
    const own = names.find((name) => Object.hasOwn(here as object, name)) ?? key;
    // Lists are walked, too.
    const isInner = typeof here === 'object' && here !== null;
    here = isInner ? entryOf(here as Plain, String(own)) : undefined;
    return own;
  });
}

/** The two ways to write a definition: field names (TypeScript), or wire names (REST, stored form). */
export type Form = 'fields' | 'wire';

/** The schema at one place of a value. */
export interface Place {
  /** Known field names in both forms; empty when the place is not an object of known fields. */
  readonly names: Readonly<Record<Form, readonly string[]>>;
  /** The `kind`s of a union; else empty. */
  readonly kinds: readonly string[];
}

/** The schema at `path`; `value` (when known) chooses between unions. */
export function schemaAt(
  root: z.core.$ZodType,
  path: readonly PropertyKey[],
  value: unknown,
): Place {
  const found = schemaFor(root, path);
  const inner = found === undefined ? undefined : unwrap(found);
  const options = inner instanceof z.ZodUnion ? inner.options : [];
  const owner = inner instanceof z.ZodUnion ? optionFor(inner.options, value) : inner;
  if (owner instanceof z.ZodRecord && owner.keyType instanceof z.ZodEnum) {
    const names = owner.keyType.options.map(String);
    return { names: { fields: names, wire: names }, kinds: [] };
  }
  const fields = owner instanceof z.ZodObject ? Object.keys(owner.shape) : [];
  return {
    names: { fields, wire: fields.map((key) => wireName(owner as z.ZodObject, key)) },
    kinds: options.map(kindOf).filter((kind) => kind !== undefined),
  };
}

/** The same path in wire names: `['scaling', 'maxReplicas']` → `['scaling_config', 'max_replicas']`. */
export function wirePath(root: z.core.$ZodType, path: readonly PropertyKey[]): PropertyKey[] {
  let schema: z.core.$ZodType | undefined = root;
  return path.map((key) => {
    const inner: z.core.$ZodType | undefined = schema === undefined ? undefined : unwrap(schema);
    const options = inner instanceof z.ZodUnion ? (inner.options as z.core.$ZodType[]) : [inner];
    const owner = options
      .map((option) => (option === undefined ? undefined : unwrap(option)))
      .find((option) => option instanceof z.ZodObject && Object.hasOwn(option.shape, key));
    schema = inner === undefined ? undefined : child(inner, key);
    return owner === undefined ? key : wireName(owner, String(key));
  });
}

type Plain = Record<string, unknown>;
type Rename = (owner: z.ZodObject, value: Plain, path: readonly PropertyKey[]) => Plain;

/** Walks value and schema together and renames the keys of every known object. */
function convert(
  schema: z.core.$ZodType,
  value: unknown,
  rename: Rename,
  path: readonly PropertyKey[],
): unknown {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodUnion) {
    const option = optionFor(inner.options, value);
    return option === undefined ? value : convert(option, value, rename, path);
  }
  if (inner instanceof z.ZodArray && Array.isArray(value)) {
    return value.map((one, index) =>
      convert(inner.def.element as z.core.$ZodType, one, rename, [...path, index]),
    );
  }
  if (inner instanceof z.ZodObject && isObject(value)) return rename(inner, value, path);
  return value;
}

function renamer(nameOf: (owner: z.ZodObject, key: string) => string, faults: Fault[]): Rename {
  const rename: Rename = (owner, value, path) => {
    const out: Plain = {};
    for (const [key, inner] of Object.entries(value)) {
      const name = nameOf(owner, key);
      if (Object.hasOwn(out, name)) {
        const twice = `given once, as ${wireName(owner, name)} or ${name}`;
        faults.push(fault(pathText([...path, key]), inner, twice, 'remove one of the two'));
      }
      const field = entryOf(owner.shape, name) ?? entryOf(owner.shape, key);
      const renamed = field === undefined ? inner : convert(field, inner, rename, [...path, name]);
      setEntry(out, name, renamed);
    }
    return out;
  };
  return rename;
}

/** Wire → field names. Both forms are accepted, key by key. */
function fieldName(owner: z.ZodObject, key: string): string {
  if (Object.hasOwn(owner.shape, key)) return key;
  if (owner === unwrap(resourcesSchema) && key === DEFAULT_GPU_RESOURCE) return 'gpu';
  // Files from before the unit was one word.
  if (key === 'memory_gi_b_hour' && Object.hasOwn(owner.shape, 'memoryGiBHour')) {
    return 'memoryGiBHour';
  }
  return Object.keys(owner.shape).find((name) => wireName(owner, name) === key) ?? key;
}

/** Snake_case keys of known objects as field names; names given twice become faults. */
export function fieldsOf(schema: z.core.$ZodType, value: unknown, faults: Fault[]): unknown {
  return convert(schema, value, renamer(fieldName, faults), []);
}

const WHOLE_NUMBER = /^[0-9]{1,3}$/;

/** Kubernetes writes GPU counts as quantities (strings); definitions as numbers. */
function gpuFromWire(input: unknown): unknown {
  const resources = isObject(input) ? input['resources'] : undefined;
  if (!isObject(input) || !isObject(resources)) return input;
  const { gpu } = resources;
  if (typeof gpu !== 'string' || !WHOLE_NUMBER.test(gpu)) return input;
  return { ...input, resources: { ...resources, gpu: Number(gpu) } };
}

function gpuToWire(wire: unknown): unknown {
  const resources = isObject(wire) ? wire['resource_requirements'] : undefined;
  if (!isObject(wire) || !isObject(resources) || typeof resources['gpu'] !== 'number') return wire;
  const { gpu, ...rest } = resources;
  return { ...wire, resource_requirements: { ...rest, [DEFAULT_GPU_RESOURCE]: String(gpu) } };
}

function eachCandidate(model: unknown, change: (one: unknown) => unknown): unknown {
  if (!isObject(model) || !Array.isArray(model['candidates'])) return model;
  return { ...model, candidates: model['candidates'].map(change) };
}

/**
 * Renames wire fields to definition fields. Only plain data is checked: `parseModel` checks the
 * rest.
 * @throws DefinitionError when the value is not plain data or names a field twice
 */
export function fromWire(wire: unknown): unknown {
  const broken = plainFault(wire);
  if (broken !== undefined) throw new DefinitionError([broken]);
  const faults: Fault[] = [];
  const renamed = fieldsOf(modelSchema, wire, faults);
  if (faults.length > 0) throw new DefinitionError(faults);
  return eachCandidate(gpuFromWire(renamed), gpuFromWire);
}

/** Any value of a schema with the names that configuration files use; undefined fields are left out. */
export function wireOf(schema: z.core.$ZodType, value: object): Readonly<Record<string, unknown>> {
  const clean = JSON.parse(JSON.stringify(value)) as Plain;
  return convert(schema, clean, renamer(wireName, []), []) as Plain;
}

/**
 * Renames definition fields to wire fields; undefined fields are left out. The inverse of
 * `fromWire`.
 */
export function toWire(model: ModelInput): WireModel {
  const wire = wireOf(modelSchema, model);
  return eachCandidate(gpuToWire(wire), gpuToWire) as WireModel;
}
