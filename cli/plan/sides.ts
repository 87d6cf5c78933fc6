import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { PlanModels, PlannedEnvironment, PlanSide } from '../../lib/plan/plan';
import { namespaceOf } from '../../lib/objects';
import type { Environment, Finding } from '../../lib/spec';
import { DefinitionError } from '../../lib/spec';
import type { Definition, Environments } from '../../lib/synth';
import type { Project } from '../commands/project';
import { synthLibrary } from '../commands/project';

/** What a plan compares, and what could not be read of the old side. */
export interface Sides {
  readonly environments: readonly PlannedEnvironment[];
  readonly notes: readonly string[];
  readonly errors?: readonly Finding[];
}

export function modelsOf(definitions: readonly Definition[]): PlanModels {
  return new Map(definitions.map(({ spec }) => [spec.id, { spec }]));
}

export function sideOf(environment: Environment, models: PlanModels): PlanSide {
  const namespace = namespaceOf(environment);
  return { environment, models, shared: namespace === undefined ? [] : [namespace] };
}

/** The environment before that this one was: of the same name, or each the only one. */
function counterpart(environment: Environment, before: Environments, after: Environments) {
  const isOnly = before.all.length === 1 && after.all.length === 1;
  if (isOnly && !before.inFolders && !after.inFolders) return before.all[0];
  return before.all.find(({ name }) => name === environment.name);
}

/** Two sets of definitions, each with its environments. */
function definitionSides(before: Project, after: Project): readonly PlannedEnvironment[] {
  const [old, next] = [modelsOf(before.definitions), modelsOf(after.definitions)];
  const found = new Set<Environment>();
  const kept = after.environments.all.map((environment): PlannedEnvironment => {
    const had = counterpart(environment, before.environments, after.environments);
    if (had !== undefined) found.add(had);
    return {
      name: environment.name,
      before: had && sideOf(had, old),
      after: sideOf(environment, next),
    };
  });
  const gone = before.environments.all
    .filter((environment) => !found.has(environment))
    .map((environment) => ({ name: environment.name, before: sideOf(environment, old) }));
  return [...kept, ...gone];
}

interface Loaded {
  readonly definitions: readonly Definition[];
  readonly notes: readonly string[];
}

const bytesAt = (path: string): Buffer | undefined =>
  statSync(path, { throwIfNoEntry: false })?.isFile() === true ? readFileSync(path) : undefined;

/**
 * A definition of the working folder that the old file gives as well: its file is the same, and it
 * reads no other one. Code may read anything.
 */
function sameDefinition(path: string, current: readonly Definition[]): Definition | undefined {
  const name = basename(path);
  const found = current.find(({ file }) => basename(file) === name);
  if (found === undefined || !/\.(?:ya?ml|json)$/i.test(name)) return undefined;
  if (found.spec.arms.some(({ source }) => source?.scheme === 'file')) return undefined;
  const [old, next] = [bytesAt(path), bytesAt(found.file)];
  return old !== undefined && next !== undefined && old.equals(next) ? found : undefined;
}

/** The definitions of an old folder. What cannot be read any more is a note, not a fault. */
async function loadOld(
  folder: string,
  current: readonly Definition[],
  shown: string,
): Promise<Loaded> {
  const { isDefinitionFile, loadDefinition, NoDefinition } = synthLibrary();
  if (!existsSync(folder)) return { definitions: [], notes: [`${shown} does not exist`] };
  const byName = new Map(current.map((one) => [basename(one.file), [one]]));
  const names = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !entry.isDirectory() && isDefinitionFile(entry.name))
    .map(({ name }) => name)
    .sort();
  const notes: string[] = [];
  const definitions = await Promise.all(
    names.map(async (name): Promise<readonly Definition[]> => {
      const path = join(folder, name);
      const same = sameDefinition(path, byName.get(name) ?? []);
      if (same !== undefined) return [same];
      try {
        return [await loadDefinition(path)];
      } catch (error) {
        if (!(error instanceof NoDefinition)) notes.push(`${shown}/${name}: ${firstFault(error)}`);
        return [];
      }
    }),
  );
  return { definitions: definitions.flat(), notes: notes.sort() };
}

function firstFault(error: unknown): string {
  const [fault] = error instanceof DefinitionError ? error.faults : [];
  const words = fault?.message ?? (error instanceof Error ? error.message : String(error));
  return `cannot be read, so its model counts as new: ${words.split('\n')[0]}`;
}

export interface OldProject {
  /** The folder that stands for the working folder. */
  readonly root: string;
  /** The folder of definitions below it. */
  readonly folder: string;
  /** How both are called in notes. */
  readonly label: string;
  /** Only this environment. */
  readonly env?: string | undefined;
}

/** Compares a project with an older copy of it. */
export async function projectSides(old: OldProject, after: Project): Promise<Sides> {
  const { loadEnvironments } = synthLibrary();
  const { root, folder, label, env } = old;
  const loaded = await loadOld(join(root, folder), after.definitions, `${label}: ${folder}`);
  const notes = [...loaded.notes];
  const all = await loadEnvironments(root).catch((error: unknown): Environments => {
    if (!(error instanceof DefinitionError)) throw error;
    const fault = error.faults[0]?.message ?? '';
    notes.push(`${label}: its environments cannot be read, those of now are used: ${fault}`);
    return after.environments;
  });
  const isWanted = ({ name }: Environment): boolean => env === undefined || name === env;
  const environments = { ...all, all: all.all.filter(isWanted) };
  const before = { definitions: loaded.definitions, environments };
  return { environments: definitionSides(before, after), notes };
}
