import { readdirSync } from 'node:fs';
import { join, posix } from 'node:path';

/** One thing in the image: where it lies there, and what it is. */
export type Item =
  | { readonly to: string; readonly file: string; readonly mode?: number }
  | { readonly to: string; readonly text: string; readonly mode?: number }
  | { readonly to: string; readonly link: string }
  | { readonly to: string; readonly folder: true; readonly mode?: number };

/** What changes together is pulled together: a new release fetches only its last layer. */
export interface Layer {
  readonly name: string;
  readonly items: readonly Item[];
}

export const FILE_MODE = 0o644;
export const PROGRAM_MODE = 0o755;
export const FOLDER_MODE = 0o755;

/** Files of a folder, without those in folders below, as they are wanted by name. */
export function filesOf(from: string, to: string, wanted = /./): readonly Item[] {
  return readdirSync(from, { withFileTypes: true })
    .filter((entry) => entry.isFile() && wanted.test(entry.name))
    .map(({ name }) => ({ to: posix.join(to, name), file: join(from, name) }));
}

function foldersAbove(path: string): readonly string[] {
  const parent = posix.dirname(path);
  return parent === '/' ? [] : [...foldersAbove(parent), parent];
}

/** The items with every folder they lie in, parents first, in an order that never changes. */
export function complete(items: readonly Item[]): readonly Item[] {
  const all = new Map<string, Item>();
  for (const item of items) {
    for (const to of foldersAbove(item.to)) {
      if (!all.has(to)) all.set(to, { to, folder: true });
    }
  }
  for (const item of items) all.set(item.to, item);
  return [...all.values()].sort((a, b) => (a.to < b.to ? -1 : 1));
}
