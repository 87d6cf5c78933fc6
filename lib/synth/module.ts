import { createJiti } from 'jiti';
import * as spec from '../spec/public';

/**
 * The part of this package that definitions import: the running instance, so nothing is loaded
 * twice, and a fresh clone needs no build.
 */
const OWN = { '@suoke/ai-model-service': spec, '@suoke/ai-model-service/spec': spec };

/**
 * An object literal of any realm: its prototype is the last one, and its constructor is called
 * Object.
 */
function isLiteral(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as { constructor?: { name?: string } } | null;
  if (prototype === null) return true;
  return Object.getPrototypeOf(prototype) === null && prototype.constructor?.name === 'Object';
}

/**
 * The same plain data made of this realm's objects and arrays. Test runners load modules in another
 * realm, with another `Object`; a value that is not plain data stays unchanged, and the schema
 * refuses it.
 */
function adopt(value: unknown, known = new Map<unknown, unknown>()): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (known.has(value)) return known.get(value);
  const copy: object | undefined = Array.isArray(value) ? [] : isLiteral(value) ? {} : undefined;
  if (copy === undefined) return value;
  known.set(value, copy);
  for (const [key, inner] of Object.entries(value)) {
    // Not by assignment: `__proto__` would set the prototype.
    Object.defineProperty(copy, key, {
      value: adopt(inner, known),
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  return copy;
}

type Loaded = Readonly<Record<PropertyKey, unknown>>;

/** `export default`, or what a CommonJS file gives to `module.exports`. */
function exported(loaded: Loaded): unknown {
  const isModule = loaded['__esModule'] === true || loaded[Symbol.toStringTag] === 'Module';
  return isModule || 'default' in loaded ? loaded['default'] : loaded;
}

/**
 * Loads the default export of a TypeScript or JavaScript file and its imports, as they are on disk
 * now.
 */
export async function defaultExport(file: string): Promise<unknown> {
  const jiti = createJiti(file, {
    virtualModules: OWN,
    moduleCache: false,
    interopDefault: false,
  });
  return adopt(exported(await jiti.import<Loaded>(file)));
}
