import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A golden file: the input, a line `---`, and what must come of it. */
export interface Golden {
  readonly name: string;
  readonly input: string;
  readonly expected: string;
  /** Compares; with UPDATE_GOLDEN=1 writes what came instead, to be read in the diff. */
  readonly check: (actual: string) => void;
}

const SEPARATOR = '\n---\n';

/** All `*.golden` files of a folder of test/golden. */
export function goldens(folder: string): readonly Golden[] {
  const root = join(__dirname, '..', 'golden', folder);
  return readdirSync(root)
    .filter((file) => file.endsWith('.golden'))
    .map((file) => {
      const path = join(root, file);
      const text = readFileSync(path, 'utf8');
      const cut = text.lastIndexOf(SEPARATOR);
      const input = text.slice(0, cut + 1);
      const expected = text.slice(cut + SEPARATOR.length).trimEnd();
      return {
        name: file.slice(0, -'.golden'.length).replaceAll('-', ' '),
        input,
        expected,
        check: (actual) => {
          if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(path, `${input}---\n${actual}\n`);
          else expect(actual).toBe(expected);
        },
      };
    });
}
