import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { DefinitionError, filePathOf, slugClashes } from '../spec';
import { fileFault, throwAll } from './errors';
import type { Definition } from './load';
import { isDefinitionFile, loadDefinition, NoDefinition } from './load';

/** Misplaced definitions are usually one or two folders too deep. */
const MAX_LEVELS = 3;

/** Whether a file begins as a definition does. Folders of artifacts hold other YAML and JSON. */
function isDefinition(path: string): boolean {
  const text = readFileSync(path).toString('utf8', 0, 16_384);
  const has = (...keys: readonly string[]): boolean =>
    keys.some((key) => new RegExp(`^[\\s{,]*["']?${key}["']?\\s*:`, 'm').test(text));
  return /\bdefineModel\s*\(/.test(text) || (has('model_id', 'id') && has('framework'));
}

/** The first definition below a folder, where it is not found. */
function misplacedIn(folder: string, levels = MAX_LEVELS): string | undefined {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (!/^[^_.]/.test(entry.name) || entry.name === 'node_modules') continue;
    if (!entry.isDirectory()) {
      if (entry.isFile() && isDefinitionFile(entry.name) && isDefinition(path)) return path;
    } else if (levels > 1) {
      const found = misplacedIn(path, levels - 1);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/** Definitions in places that are not searched. */
function misplaced(folder: string): readonly DefinitionError[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry): DefinitionError[] => {
    const { name } = entry;
    if (!entry.isDirectory() || !/^[^_.]/.test(name) || name === 'node_modules') return [];
    const found = misplacedIn(join(folder, name));
    if (found === undefined) return [];
    const words = `is in a folder below ${folder}, which is not searched; move it to ${folder}, or begin the folder’s name with _`;
    return [new DefinitionError([fileFault(words)], found)];
  });
}

/** The definition files of a folder, by name; folders below it are not searched. */
function definitionFiles(folder: string): readonly string[] {
  const found = statSync(folder, { throwIfNoEntry: false });
  if (found?.isDirectory() !== true) {
    throw new DefinitionError(
      [fileFault('is not a folder; name the folder of your model definitions')],
      folder,
    );
  }
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map(({ name }) => name)
    .filter(isDefinitionFile)
    .sort()
    .map((name) => join(folder, name));
}

/** Two definitions that would get the same object names. */
function clashes(definitions: readonly Definition[]): readonly DefinitionError[] {
  const fileOf = new Map(definitions.map(({ spec, file }) => [spec, file]));
  return slugClashes(definitions.map(({ spec }) => spec)).map(([first, second]) => {
    const same =
      first.id === second.id
        ? `the id ${second.id} is taken`
        : `the ids ${first.id} and ${second.id} give the same object names`;
    return new DefinitionError(
      [fileFault(`${same} (${fileOf.get(first)}); rename one of the models`)],
      fileOf.get(second),
    );
  });
}

/** Contents of a folder: the valid definitions, and one error for each other file. */
export interface Discovered {
  readonly definitions: readonly Definition[];
  readonly errors: readonly DefinitionError[];
}

/** Any error while a file is loaded is reported as that file's fault. */
async function tryLoad(file: string): Promise<Definition | DefinitionError> {
  try {
    return await loadDefinition(file);
  } catch (error) {
    if (error instanceof DefinitionError) return error;
    const words = error instanceof Error ? error.message : String(error);
    return new DefinitionError([fileFault(`cannot be read: ${words}; correct the file`)], file);
  }
}

/** Artifacts that definitions name as their sources. */
function artifactsOf(definitions: readonly Definition[]): ReadonlySet<string> {
  const paths = definitions.flatMap(({ file, spec }) =>
    spec.arms.flatMap(({ source }) =>
      source?.scheme === 'file' ? [resolve(dirname(file), filePathOf(source.uri))] : [],
    ),
  );
  return new Set(paths);
}

/**
 * Loads the definitions of a folder file by file, in the order of the file names: `.ts` and `.js`
 * (default export), `.yaml` and `.json`, in field or wire form. Names that begin with `_` or `.`
 * are left out, and so are artifacts that a definition names. Of two that clash the first counts.
 * @throws DefinitionError when the folder itself cannot be read
 */
export async function discoverEach(folder: string): Promise<Discovered> {
  const loaded = await Promise.all(definitionFiles(folder).map(tryLoad));
  const whole = loaded.filter((one): one is Definition => !(one instanceof DefinitionError));
  const clashing = clashes(whole);
  const refused = new Set(clashing.map(({ file }) => file));
  const artifacts = artifactsOf(whole);
  const broken = loaded
    .filter((one) => one instanceof DefinitionError)
    .filter((one) => !(one instanceof NoDefinition && artifacts.has(resolve(one.file ?? ''))));
  return {
    definitions: whole.filter(({ file }) => !refused.has(file)),
    errors: [...misplaced(folder), ...broken, ...clashing],
  };
}

/**
 * Loads every definition of a folder, as `discoverEach`.
 * @throws DefinitionError with all faults of all files
 */
export async function discover(folder: string): Promise<readonly Definition[]> {
  const { definitions, errors } = await discoverEach(folder);
  throwAll(errors);
  return definitions;
}
