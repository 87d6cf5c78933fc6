import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { parseAllDocuments } from 'yaml';
import type { CommandContext } from '../command-context';
import { ALLOW_EMPTY, loadProject, outFolder, previousOf, synthLibrary, today } from './project';
import { entryOf } from '../../lib/spec/entry';

interface Options {
  readonly out?: string;
  readonly env?: string;
  readonly allowEmpty?: boolean;
}

interface Change {
  readonly action: 'create' | 'update' | 'delete';
  readonly object: string;
  /** Dotted paths that change, with both values; only of an update. */
  readonly fields: readonly string[];
}

type Plain = Readonly<Record<string, unknown>>;

/** Values longer than this (artifacts) are not shown. */
const MAX_SHOWN = 60;

const isPlain = (value: unknown): value is Plain => typeof value === 'object' && value !== null;

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN - 1)}…` : text;
}

/** Differences, leaf by leaf: `spec.maxReplicas: 5 → 8`. */
function fieldChanges(before: unknown, after: unknown, path = ''): readonly string[] {
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  if (!isPlain(before) || !isPlain(after)) {
    return [`${path}: ${shown(before)} → ${shown(after)}`];
  }
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return keys.flatMap((key) =>
    fieldChanges(entryOf(before, key), entryOf(after, key), path === '' ? key : `${path}.${key}`),
  );
}

function objectsIn(text: string): ReadonlyMap<string, Plain> {
  const found = parseAllDocuments(text).map((document) => document.toJS() as Plain | null);
  return new Map(
    found.filter(isPlain).map((object) => {
      const { name, namespace } = object['metadata'] as Plain;
      const place = namespace === undefined ? '' : `${String(namespace)}/`;
      return [`${String(object['kind'])} ${place}${String(name)}`, object];
    }),
  );
}

function changesOf(before: string, after: string): readonly Change[] {
  const [old, next] = [objectsIn(before), objectsIn(after)];
  const made = [...next].flatMap(([object, value]): Change[] => {
    const had = old.get(object);
    if (had === undefined) return [{ action: 'create', object, fields: [] }];
    const fields = fieldChanges(had, value);
    return fields.length === 0 ? [] : [{ action: 'update', object, fields }];
  });
  const gone = [...old.keys()]
    .filter((object) => !next.has(object))
    .map((object): Change => ({ action: 'delete', object, fields: [] }));
  return [...made, ...gone];
}

const SIGN: Readonly<Record<Change['action'], string>> = { create: '+', update: '~', delete: '-' };

/** Changes of the committed manifests, object by object: for a pull request. */
export function addPlan(program: Command, { io, format }: CommandContext): void {
  program
    .command('plan')
    .description('Show what a synth would change in the manifests, object by object.')
    .argument('[folder]', 'definitions', 'models')
    .option('--out <folder>', 'manifests to compare with (default: $CDK8S_OUTDIR or dist)')
    .option('--env <name>', 'only this environment')
    .option(...ALLOW_EMPTY)
    .addHelpText('after', '\nExample:\n  ai-model-service plan models')
    .action(async (folder: string, options: Options) => {
      const { checkManifests, synthesize } = synthLibrary();
      const { definitions, environments } = await loadProject(folder, options, io);
      const name = outFolder(options.out, io);
      const previous = previousOf(name, io);
      const { files } = synthesize(definitions, environments, { today: today(io), previous });
      const root = resolve(io.cwd, name);
      const changes = checkManifests(root, files).flatMap(({ file }) => {
        const path = join(root, file);
        const before = existsSync(path) ? readFileSync(path, 'utf8') : '';
        return changesOf(before, files.get(file) ?? '');
      });
      if (format() === 'json') {
        io.out(`${JSON.stringify({ changes })}\n`);
        return;
      }
      for (const { action, object, fields } of changes) {
        io.out(`${SIGN[action]} ${object}\n`);
        for (const field of fields) io.out(`    ${field}\n`);
      }
      const count = (action: Change['action']): number =>
        changes.filter((one) => one.action === action).length;
      io.out(
        `${count('create')} to create, ${count('update')} to change, ${count('delete')} to delete\n`,
      );
    });
}
