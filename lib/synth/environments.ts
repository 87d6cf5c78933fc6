import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Environment, EnvironmentDefaults, Form } from '../spec';
import {
  checked,
  DefinitionError,
  environmentSchema,
  fault,
  schemaAt,
  underEnvironment,
} from '../spec';
import { fileFault, throwAll } from './errors';
import { loadValue } from './load';
import { withPriceFile } from './pricefile';
import type { Located } from './text';
import { withLines } from './text';
import { entryOf, isObject } from '../spec/entry';

const ENVIRONMENTS_EXPORT = 'write `export default [defineEnvironment({…})]`';

/** Names of the environments file; the first that exists is used. */
const FILES = ['environments.ts', 'environments.js', 'environments.yaml', 'environments.json'];

/**
 * The environments of a project: the default one, unless a file `environments.ts`, `.js`, `.yaml`
 * or `.json` exists beside `cdk8s.yaml`. It holds one environment or a list of them:
 *
 *     export default [
 *       defineEnvironment({ name: 'staging', namespace: 'models-staging' }),
 *       defineEnvironment({ name: 'production', namespace: 'models' }),
 *     ];
 *
 * With a list, each gets its own folder: `dist/staging/`, `dist/production/`; with one, or without
 * the file, manifests are written to `dist/` itself.
 * @param folder the project’s folder
 * @param defaults values of environments that do not set them
 * @throws DefinitionError with every fault of every environment
 */
export async function loadEnvironments(
  folder: string,
  defaults: EnvironmentDefaults = {},
): Promise<Environments> {
  const name = FILES.find((candidate) => existsSync(join(folder, candidate)));
  const parsed = (value: unknown, form: Form, file?: string): Environment =>
    checked(environmentSchema, underEnvironment(value, defaults), form, file);
  if (name === undefined) return { all: [parsed({}, 'fields')], inFolders: false };
  const file = join(folder, name);
  const located = await loadValue(file, ENVIRONMENTS_EXPORT);
  // YAML and JSON may use either form, like definitions.
  const form: Form = /\.(?:yaml|json)$/.test(name) ? 'wire' : 'fields';
  const inFolders = Array.isArray(located.value);
  refuseByName(located.value, file);
  const values = inFolders ? (located.value as readonly unknown[]) : [located.value];
  const errors: DefinitionError[] = [];
  const all: Environment[] = [];
  for (const [index, value] of values.entries()) {
    try {
      all.push(parsed(await withPriceFile(value, folder, form), form, file));
    } catch (error) {
      if (!(error instanceof DefinitionError)) throw error;
      errors.push(inPlace(error, { index: inFolders ? index : undefined, file, form, located }));
    }
  }
  throwAll(errors.length > 0 ? errors : repeated(all, file));
  return { all, inFolders };
}

interface Place {
  readonly index: number | undefined;
  readonly file: string;
  readonly form: Form;
  readonly located: Located;
}

/** The faults of an environment with their index and lines; those of its price file have theirs. */
function inPlace(error: DefinitionError, { index, file, form, located }: Place): DefinitionError {
  if (error.file !== undefined && error.file !== file) return error;
  const found = index === undefined ? error : underIndex(error, index, file);
  return form === 'wire' ? withLines(found, file, located) : found;
}

/** Where models run, and whether each has a folder of its own below `dist/`. */
export interface Environments {
  readonly all: readonly Environment[];
  readonly inFolders: boolean;
}

/**
 * Refuses `{ staging: {…}, production: {…} }`, a common first attempt at several environments.
 * @throws DefinitionError that shows the list
 */
function refuseByName(value: unknown, file: string): void {
  const allowed = 'one environment, or a list of them';
  if (!isObject(value)) {
    if (Array.isArray(value)) return;
    const example = "write export default [defineEnvironment({ name: 'production' })]";
    throw new DefinitionError([fault('', value, allowed, example)], file);
  }
  const known = schemaAt(environmentSchema, [], value).names;
  const fields = new Set([...known.fields, ...known.wire]);
  const names = Object.keys(value);
  const isByName = names.every((name) => !fields.has(name) && isObject(entryOf(value, name)));
  if (names.length === 0 || !isByName) return;
  const list = names.map((name) => `{ name: '${name}', … }`).join(', ');
  const message = `exports an object with the environments ${names.join(', ')}, must be ${allowed}; write [${list}]`;
  throw new DefinitionError([fileFault(message)], file);
}

/** The faults of one environment of the list, with its index. */
function underIndex({ faults }: DefinitionError, index: number, file: string): DefinitionError {
  const placed = faults.map(({ path, ...rest }) => {
    const dot = path === '' || path.startsWith('[') ? '' : '.';
    return Object.assign(rest, { path: `[${index}]${dot}${path}` });
  });
  return new DefinitionError(placed, file);
}

function repeated(all: readonly Environment[], file: string): readonly DefinitionError[] {
  const names = all.map(({ name }) => name);
  const twice = names.filter((name, index) => names.indexOf(name) < index);
  if (all.length === 0) {
    return [new DefinitionError([fileFault('holds no environment; add one, or remove it')], file)];
  }
  return twice.map(
    (name) =>
      new DefinitionError([fileFault(`two environments are called ${name}; rename one`)], file),
  );
}

/**
 * One environment of several, by its name.
 * @throws DefinitionError when none has that name
 */
export function findEnvironment({ all, inFolders }: Environments, name: string): Environments {
  const found = all.find((one) => one.name === name);
  if (found !== undefined) return { all: [found], inFolders };
  const names = all.map((one) => one.name).join(', ');
  throw new DefinitionError([
    fileFault(`no environment is called ${name}, there are: ${names}; choose one of them`),
  ]);
}
