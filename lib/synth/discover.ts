import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DefinitionError, slugClashes } from '../spec';
import { fileFault, throwAll } from './errors';
import type { Definition } from './load';
import { isDefinitionFile, loadDefinition } from './load';

/** The files of a folder that hold definitions, by name; folders below it are not looked into. */
export function definitionFiles(folder: string): readonly string[] {
  const found = statSync(folder, { throwIfNoEntry: false });
  if (found?.isDirectory() !== true) {
    throw new DefinitionError(
      [fileFault('is no folder; name the folder of your model definitions')],
      folder,
    );
  }
  return readdirSync(folder)
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

/**
 * Loads every definition of a folder, in the order of the file names: `.ts` and `.js` (default
 * export), `.yaml` and `.json`, in field or wire form. Names that begin with `_` or `.` are left
 * out.
 * @throws DefinitionError with all faults of all files
 */
export async function discover(folder: string): Promise<readonly Definition[]> {
  const loaded = await Promise.allSettled(definitionFiles(folder).map(loadDefinition));
  const definitions: Definition[] = [];
  const errors: DefinitionError[] = [];
  for (const one of loaded) {
    if (one.status === 'fulfilled') definitions.push(one.value);
    else if (one.reason instanceof DefinitionError) errors.push(one.reason);
    else throw one.reason;
  }
  throwAll([...errors, ...clashes(definitions)]);
  return definitions;
}
