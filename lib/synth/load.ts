import { extname, resolve } from 'node:path';
import type { Fault, Form, ModelSpec } from '../spec';
import { DefinitionError, inForm, modelSchema, parseModel } from '../spec';
import { wireName } from '../spec/wire';
import { withArtifactBeside } from './beside';
import { readSources } from './content';
import { fileFault } from './errors';
import type { defaultExport as DefaultExport } from './module';
import type { Located } from './text';
import { parseJson, parseYaml, withLines } from './text';
import { readTextFile } from './textfile';

const TEXT = ['.yaml', '.yml', '.json'];
const MODULE = ['.ts', '.mts', '.cts', '.js', '.mjs', '.cjs'];

/** Windows and macOS take X.YAML for x.yaml, so it counts everywhere. */
const extensionOf = (name: string): string => extname(name).toLowerCase();

/** A definition and its file. */
export interface Definition {
  /** As given: the folder, then the file’s name. */
  readonly file: string;
  /** How its author writes names, for messages. */
  readonly form: Form;
  /** With the content of its `file` sources. */
  readonly spec: ModelSpec;
}

/** Whether a file can hold a definition. Names that begin with `_` or `.` are helpers. */
export function isDefinitionFile(name: string): boolean {
  return (
    /^[^_.]/.test(name) &&
    !/\.(?:d|test|spec)\.[cm]?[jt]s$/i.test(name) &&
    [...TEXT, ...MODULE].includes(extensionOf(name))
  );
}

/**
 * Module loaders decode imported files without a check, and put U+FFFD for bytes that are not
 * UTF-8.
 */
function checkImported(value: unknown, text: string, file: string): void {
  if (/\uFFFD|\\uFFFD/i.test(text) || !holdsReplacement(value)) return;
  const words =
    'holds the character U+FFFD, which stands for bytes that are not UTF-8; save the files that it imports as UTF-8';
  throw new DefinitionError([fileFault(words)], file);
}

/** Searches to the depth of definitions; the schema refuses cycles and greater depth. */
function holdsReplacement(value: unknown, depth = 0): boolean {
  if (typeof value === 'string') return value.includes('\uFFFD');
  if (typeof value !== 'object' || value === null || depth > 10) return false;
  return Object.values(value).some((inner) => holdsReplacement(inner, depth + 1));
}

async function fromModule(file: string, remedy: string): Promise<Located> {
  if (!MODULE.includes(extname(file))) {
    const words = 'has its extension in capitals, which no loader of modules takes; rename it';
    throw new DefinitionError([fileFault(words)], file);
  }
  const text = readTextFile(file);
  // Loaded on demand: a folder of YAML needs no TypeScript loader.
  // oxlint-disable-next-line typescript/no-require-imports
  const { defaultExport } = require('./module') as { defaultExport: typeof DefaultExport };
  const value = await defaultExport(resolve(file)).catch((error: unknown) => {
    // The loader puts the place on a line of its own.
    const words = error instanceof Error ? error.message : String(error);
    const reason = words.replaceAll(/\s+/g, ' ');
    throw new DefinitionError([fileFault(`cannot be loaded: ${reason}; correct the file`)], file);
  });
  checkImported(value, text, file);
  if (value !== undefined) return { value, lineOf: () => 1, sourceOf: () => undefined };
  throw new DefinitionError([fileFault(`has no default export; ${remedy}`)], file);
}

const MODEL_EXPORT = 'write `export default defineModel({…})`, or begin a helper’s name with _';

/**
 * The plain value a file holds: the default export of TypeScript or JavaScript, or YAML or JSON.
 * @param remedy what to do when there is no default export
 * @throws DefinitionError when it cannot be loaded
 */
export async function loadValue(file: string, remedy = MODEL_EXPORT): Promise<Located> {
  if (!TEXT.includes(extensionOf(file))) return fromModule(file, remedy);
  const parse = extensionOf(file) === '.json' ? parseJson : parseYaml;
  return parse(readTextFile(file), file);
}

/** Faults found after parsing, with paths in the author's form. */
export function inFormOf(form: Form, faults: readonly Fault[]): readonly Fault[] {
  return faults.map((found) => inForm(found, modelSchema, form));
}

/** Keys that files of other tools have as well. */
const COMMON: ReadonlySet<string> = new Set(['name', 'version', 'type', 'command', 'args', 'env']);
const OWN: ReadonlySet<string> = new Set(
  Object.keys(modelSchema.shape)
    .flatMap((key) => [key, wireName(modelSchema, key)])
    .filter((key) => !COMMON.has(key)),
);

/** A file of another tool: none of its keys is a field of a definition. */
export class NoDefinition extends DefinitionError {}

/** Artifacts such as `model.json` of XGBoost lie beside definitions. @throws NoDefinition */
function expectDefinition(value: unknown, file: string): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
  const keys = Object.keys(value);
  if (keys.length === 0 || keys.some((key) => OWN.has(key))) return;
  const first = keys.slice(0, 3).map((key) => JSON.stringify(key.slice(0, 40)));
  const words = `is not a model definition: it has no model_id (or id) and no framework, but ${first.join(', ')}; if it is an artifact, name it as the source of a definition or move it to a folder below, and if it is a definition, write model_id, version and framework`;
  throw new NoDefinition([fileFault(words)], file);
}

/**
 * Loads one definition, in either form, with the content of its `file` sources.
 * @throws DefinitionError with every fault, the file and (in YAML and JSON) the lines
 */
export async function loadDefinition(file: string): Promise<Definition> {
  const located = await loadValue(file);
  if (TEXT.includes(extensionOf(file))) expectDefinition(located.value, file);
  const value = withArtifactBeside(located.value, file);
  const wire = typeof value === 'object' && value !== null && Object.hasOwn(value, 'model_id');
  const form: Form = wire ? 'wire' : 'fields';
  try {
    const { spec, faults } = await readSources(parseModel(value, { file }), file);
    if (faults.length > 0) throw new DefinitionError(inFormOf(form, faults), file);
    return { file, form, spec };
  } catch (error) {
    if (!(error instanceof DefinitionError) || !TEXT.includes(extensionOf(file))) throw error;
    throw withLines(error, file, located);
  }
}
