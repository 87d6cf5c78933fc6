import { relative, resolve } from 'node:path';
import type { Definition, Environments, Previous } from '../../lib/synth';
import type * as Synth from '../../lib/synth';
import { CommandError } from '../exit';
import type { Io } from '../io';

/** The library's file part, loaded on demand, so that `--help` is fast. */
export const synthLibrary = (): typeof Synth => require('../../lib/synth') as typeof Synth;

export interface Project {
  readonly definitions: readonly Definition[];
  readonly environments: Environments;
}

/** A path as a user would write it: relative to the working folder, when it is below. */
export function shownPath(path: string, cwd: string): string {
  const short = relative(cwd, path);
  return short.startsWith('..') ? path : short;
}

/** Folder of the manifests: the given one, else that of cdk8s, else `dist`. */
export const outFolder = (given: string | undefined, { env }: Io): string =>
  given ?? env['CDK8S_OUTDIR'] ?? 'dist';

/** The definitions of a folder of manifests, for findings that compare the two. */
export const previousOf = (out: string, { cwd }: Io): Previous =>
  synthLibrary().previousIn(resolve(cwd, out));

/** Today, for waivers that have ended. */
export const today = ({ now }: Io): string => now().toISOString().slice(0, 10);

/** Explains an empty folder, in case its name was mistyped. */
export function noDefinitions(folder: string): string {
  return (
    `${folder}: holds no definition (files .ts, .js, .yaml, .yml or .json whose names do not ` +
    'begin with _ or .)'
  );
}

/** Files are removed for a folder without definitions only when the user asks for it. */
export const ALLOW_EMPTY = [
  '--allow-empty',
  'accept a folder without definitions; every manifest is removed',
] as const;

/**
 * All definitions of a folder and the environments.
 * @throws DefinitionError with all faults of all files, CommandError when there is no definition
 */
export async function loadProject(
  folder: string,
  { env, allowEmpty = false }: { readonly env?: string; readonly allowEmpty?: boolean },
  io: Io,
): Promise<Project> {
  const { discover, findEnvironment, loadEnvironments } = synthLibrary();
  const definitions = await discover(shownPath(resolve(io.cwd, folder), io.cwd) || '.');
  if (definitions.length === 0 && !allowEmpty) {
    throw new CommandError(
      `${noDefinitions(folder)}, so every manifest would be removed; nothing was written. Name ` +
        'the folder of your definitions, or pass --allow-empty when the last model has gone',
    );
  }
  const all = await loadEnvironments(io.cwd);
  const environments = env === undefined ? all : findEnvironment(all, env);
  return { definitions, environments };
}
