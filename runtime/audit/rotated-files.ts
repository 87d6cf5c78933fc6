import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

// `audit.jsonl` is the file that is written; `audit.jsonl.20260102T030405006Z` was it until then.

const STAMP = /^\.\d{8}T\d{9}Z$/;

const stampOf = (at: number): string => new Date(at).toISOString().replaceAll(/[-:.]/g, '');

/** The name that a file gets now; never that of one that is there. */
export function rotatedName(file: string, at: number): string {
  for (let when = at; ; when += 1) {
    const name = `${file}.${stampOf(when)}`;
    if (!existsSync(name)) return name;
  }
}

/** The files that a record was written to before, oldest first. */
export async function rotatedFiles(file: string): Promise<readonly string[]> {
  const folder = dirname(file);
  const name = basename(file);
  const found = await readdir(folder).catch(() => []);
  return found
    .filter((one) => one.startsWith(name) && STAMP.test(one.slice(name.length)))
    .toSorted()
    .map((one) => join(folder, one));
}
