import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import { parseModel } from '../../../lib/spec';
import type { StoredModel } from '../registry';
import { sha256, syncFolder, writeWhole } from './files';

/** Definitions with history and overrides: one file per model. */
export interface Store {
  readonly models: ReadonlyMap<string, StoredModel>;
  /** Returns after the file is synced to disk. */
  readonly put: (stored: StoredModel) => void;
  readonly remove: (id: string) => void;
  /**
   * True when unreadable files were moved aside. They may name artifacts that no other file names,
   * so no artifact is removed until a person has looked.
   */
  readonly hasBroken: () => boolean;
}

interface Envelope {
  readonly sha256: string;
  readonly stored: StoredModel;
}

type Warn = (message: string) => void;

const BROKEN = '.broken-';
const BEFORE = '.before';

/** @throws when the file is torn, was changed by hand, or holds what this release cannot run */
function readEnvelope(file: string, id: string): StoredModel {
  const { sha256: digest, stored } = JSON.parse(readFileSync(file, 'utf8')) as Envelope;
  if (sha256(JSON.stringify(stored)) !== digest) throw new Error('its checksum is wrong');
  if (parseModel(stored.definition).id !== id || stored.id !== id) {
    throw new Error(`it is of the model ${stored.id}`);
  }
  return stored;
}

/** Moves an unreadable file aside; never deletes it. */
function tryRead(file: string, id: string, warn: Warn): StoredModel | undefined {
  if (!existsSync(file)) return undefined;
  try {
    return readEnvelope(file, id);
  } catch (error) {
    const aside = `${file}${BROKEN}${process.hrtime.bigint()}`;
    renameSync(file, aside);
    const problem = (error as Error).message;
    warn(`${file} is broken (${problem}); it was moved to ${aside}, what stood before it is used`);
    return undefined;
  }
}

function readModels(folder: string, warn: Warn): Map<string, StoredModel> {
  const ids = readdirSync(folder).flatMap(
    (name) => /^(.+)\.json(?:\.before)?$/.exec(name)?.[1] ?? [],
  );
  const found = [...new Set(ids)].sort().flatMap((id) => {
    const file = join(folder, `${id}.json`);
    return tryRead(file, id, warn) ?? tryRead(`${file}${BEFORE}`, id, warn) ?? [];
  });
  return new Map(found.map((stored) => [stored.id, stored]));
}

/** Opens the definitions of a folder that the caller has locked. */
export function openStore(folder: string, warn: Warn): Store {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const models = readModels(folder, warn);
  const fileOf = (id: string): string => join(folder, `${id}.json`);
  return {
    models,
    put: (stored) => {
      const file = fileOf(stored.id);
      if (existsSync(file)) copyFileSync(file, `${file}${BEFORE}`);
      const envelope: Envelope = { sha256: sha256(JSON.stringify(stored)), stored };
      writeWhole(file, `${JSON.stringify(envelope)}\n`);
      models.set(stored.id, stored);
    },
    remove: (id) => {
      // In this order: after an interruption the file still marks the model as being deleted.
      rmSync(`${fileOf(id)}${BEFORE}`, { force: true });
      rmSync(fileOf(id), { force: true });
      syncFolder(folder);
      models.delete(id);
    },
    hasBroken: () => readdirSync(folder).some((name) => name.includes(BROKEN)),
  };
}
