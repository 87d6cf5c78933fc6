import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Entry } from './entry';
import { OWN_PREFIX } from './safe-path';

/** Records which files of an artifact are complete, until all are. */
const LEDGER = `${OWN_PREFIX}.progress.json`;

interface Done {
  readonly tag: string;
  readonly bytes: number;
}

/** The completed files of one artifact, so that a new run loads only the others. */
export interface Ledger {
  readonly has: (entry: Entry, file: string) => Promise<boolean>;
  readonly add: (entry: Entry, file: string) => Promise<void>;
  readonly remove: () => Promise<void>;
}

const tagOf = ({ sha256, tag }: Entry): string | undefined => sha256 ?? tag;

const bytesOf = (file: string): Promise<number> =>
  stat(file).then(
    ({ size }) => size,
    () => -1,
  );

interface Written {
  readonly id: string;
  readonly done: Readonly<Record<string, Done>>;
}

async function readDone(path: string, id: string): Promise<Map<string, Done>> {
  try {
    const written = JSON.parse(await readFile(path, 'utf8')) as Written;
    return new Map(written.id === id ? Object.entries(written.done) : []);
  } catch {
    // The first run has none; a broken one counts as missing: files are loaded again.
    return new Map();
  }
}

/** @param id identifies the source: the ledger of another one is ignored */
export async function openLedger(folder: string, id: string): Promise<Ledger> {
  const path = join(folder, LEDGER);
  const done = await readDone(path, id);
  return {
    has: async (entry, file) => {
      const known = done.get(entry.path);
      const same = known !== undefined && known.tag === tagOf(entry);
      return same && (await bytesOf(file)) === known.bytes;
    },
    add: async (entry, file) => {
      const tag = tagOf(entry);
      if (tag === undefined) return;
      done.set(entry.path, { tag, bytes: await bytesOf(file) });
      const written: Written = { id, done: Object.fromEntries(done) };
      await writeFile(`${path}.next`, JSON.stringify(written));
      await rename(`${path}.next`, path);
    },
    remove: () => rm(path, { force: true }),
  };
}
