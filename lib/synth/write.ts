import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, sep } from 'node:path';
import { HASH_ANNOTATION, MODEL_LABEL, NAMESPACE_FILE } from '../objects';
import { slugOf } from '../spec';
import { withoutCarriageReturns } from './lineendings';
import { MANIFEST } from './synthesize';

const MODEL_NAME = new RegExp(`^ +${MODEL_LABEL.replaceAll('.', '\\.')}: (\\S+)$`, 'gm');

export interface Written {
  readonly written: readonly string[];
  readonly unchanged: readonly string[];
  readonly removed: readonly string[];
}

/** How a file in the output folder differs from its definitions. */
export interface Difference {
  readonly file: string;
  readonly kind: 'missing' | 'changed' | 'stale';
}

/** Manifests below a folder; other files are not ours. */
function manifestsIn(out: string): readonly string[] {
  if (!existsSync(out)) return [];
  return readdirSync(out, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(MANIFEST))
    .map((name) => name.split(sep).join('/'))
    .sort();
}

/**
 * Whether `synth` wrote the manifest: it holds one model and has its name. Other files, such as a
 * chart of a cdk8s app with several models, are left alone.
 */
function isOurs(path: string): boolean {
  if (basename(path) === NAMESPACE_FILE) return true;
  const text = readFileSync(path, 'utf8');
  const slug = slugOf(basename(path, MANIFEST));
  const models = new Set(
    [...text.matchAll(MODEL_NAME)].map(([, name = '']) => name.replaceAll('"', '')),
  );
  return text.includes(HASH_ANNOTATION) && models.size === 1 && models.has(slug);
}

/**
 * Manifests of removed models, or of removed environments. With a folder for each environment only
 * those written now are searched: `--env production` leaves `staging/` alone.
 */
function staleIn(out: string, files: ReadonlyMap<string, string>): readonly string[] {
  const folders = new Set([...files.keys()].map((name) => dirname(name)));
  const flat = [...folders].every((folder) => folder === '.');
  return manifestsIn(out)
    .filter((name) => !files.has(name))
    .filter((name) => flat || dirname(name) === '.' || folders.has(dirname(name)))
    .filter((name) => isOurs(join(out, name)));
}

const contentAt = (path: string): string | undefined =>
  existsSync(path) ? readFileSync(path, 'utf8') : undefined;

/** Files of the output folder that differ by their line endings alone. */
export function otherLineEndings(
  out: string,
  files: ReadonlyMap<string, string>,
): readonly string[] {
  return [...files]
    .filter(([file, content]) => {
      const found = contentAt(join(out, file));
      return found !== undefined && found !== content && withoutCarriageReturns(found) === content;
    })
    .map(([file]) => file);
}

/**
 * Differences between the output folder and the wanted files; nothing is written. Line endings do
 * not count.
 */
export function checkManifests(
  out: string,
  files: ReadonlyMap<string, string>,
): readonly Difference[] {
  const own = [...files].flatMap(([file, content]): Difference[] => {
    const found = contentAt(join(out, file));
    if (found !== undefined && withoutCarriageReturns(found) === content) return [];
    return [{ file, kind: found === undefined ? 'missing' : 'changed' }];
  });
  const stale = staleIn(out, files).map((file): Difference => ({ file, kind: 'stale' }));
  return [...own, ...stale].sort((a, b) => (a.file < b.file ? -1 : 1));
}

/** Readers see the old file or the new one, never a part. */
function replace(path: string, content: string): void {
  mkdirSync(dirname(path), { recursive: true });
  const fresh = `${path}.new`;
  writeFileSync(fresh, content);
  renameSync(fresh, path);
}

/**
 * Writes these manifests to the output folder: changed ones are written, those of removed models
 * deleted, and all other files are left alone.
 */
export function writeManifests(out: string, files: ReadonlyMap<string, string>): Written {
  const differences = checkManifests(out, files);
  mkdirSync(out, { recursive: true });
  for (const { file, kind } of differences) {
    if (kind === 'stale') rmSync(join(out, file));
    else replace(join(out, file), files.get(file) ?? '');
  }
  const touched = new Set(differences.map(({ file }) => file));
  return {
    written: differences.filter(({ kind }) => kind !== 'stale').map(({ file }) => file),
    unchanged: [...files.keys()].filter((file) => !touched.has(file)),
    removed: differences.filter(({ kind }) => kind === 'stale').map(({ file }) => file),
  };
}
