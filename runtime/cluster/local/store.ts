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
import type { Stored } from '../registry';
import { sha256, writeWhole } from './files';
import { takeLock } from './lock';

/** Definitions with their history, and the artifacts they name, in one folder. */
export interface Store {
  readonly models: ReadonlyMap<string, Stored>;
  /** On disk, synced, when it returns. */
  readonly put: (stored: Stored) => void;
  readonly remove: (id: string) => void;
  /** Keeps bytes under their digest; gives the digest. */
  readonly keep: (bytes: Uint8Array) => string;
  /** Path of kept bytes. @throws when they are not there or not what their name says */
  readonly artifact: (digest: string) => string;
  readonly close: () => void;
}

interface Envelope {
  readonly sha256: string;
  readonly stored: Stored;
}

/** Undefined when the file is missing, torn or was changed by hand. */
function readEnvelope(file: string): Stored | undefined {
  try {
    const { sha256: digest, stored } = JSON.parse(readFileSync(file, 'utf8')) as Envelope;
    return sha256(JSON.stringify(stored)) === digest ? stored : undefined;
  } catch {
    return undefined;
  }
}

/** The file, else what stood there before it; what cannot be read is moved aside, never thrown away. */
function recover(file: string, tell: (message: string) => void): Stored | undefined {
  const stored = readEnvelope(file);
  if (stored !== undefined) return stored;
  if (existsSync(file)) {
    const aside = `${file}.broken-${process.hrtime.bigint()}`;
    renameSync(file, aside);
    tell(`${file} is broken; it was moved to ${aside} and the revision before it is used`);
  }
  return readEnvelope(`${file}.before`);
}

function readModels(folder: string, tell: (message: string) => void): Map<string, Stored> {
  const names = readdirSync(folder)
    .filter((name) => /\.json(\.before)?$/.test(name))
    .map((name) => name.replace(/\.before$/, ''));
  const found = [...new Set(names)].flatMap((name) => recover(join(folder, name), tell) ?? []);
  return new Map(found.map((stored) => [stored.id, stored]));
}

function digestsOf({ history }: Stored): readonly string[] {
  return history.flatMap(({ artifacts }) => Object.values(artifacts ?? {}));
}

/**
 * Opens the folder for this process alone.
 * @throws ClusterError when another service uses it
 */
export function openStore(directory: string, tell: (message: string) => void): Store {
  const folder = join(directory, 'models');
  const artifacts = join(directory, 'artifacts');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  mkdirSync(artifacts, { recursive: true, mode: 0o700 });
  const unlock = takeLock(directory);
  const models = readModels(folder, tell);
  const fileOf = (id: string): string => join(folder, `${id}.json`);
  const artifactFile = (digest: string): string => join(artifacts, `${digest}.onnx`);
  const sweep = (): void => {
    const wanted = new Set([...models.values()].flatMap(digestsOf).map((one) => `${one}.onnx`));
    for (const name of readdirSync(artifacts)) {
      if (!wanted.has(name)) rmSync(join(artifacts, name), { force: true });
    }
  };
  return {
    models,
    put: (stored) => {
      const file = fileOf(stored.id);
      if (existsSync(file)) copyFileSync(file, `${file}.before`);
      const envelope: Envelope = { sha256: sha256(JSON.stringify(stored)), stored };
      writeWhole(file, `${JSON.stringify(envelope)}\n`);
      models.set(stored.id, stored);
    },
    remove: (id) => {
      rmSync(`${fileOf(id)}.before`, { force: true });
      rmSync(fileOf(id), { force: true });
      models.delete(id);
      sweep();
    },
    keep: (bytes) => {
      const digest = sha256(bytes);
      if (!existsSync(artifactFile(digest))) writeWhole(artifactFile(digest), bytes);
      return digest;
    },
    artifact: (digest) => {
      const file = artifactFile(digest);
      if (sha256(readFileSync(file)) === digest) return file;
      throw new Error(`${file} is not what its name says; deploy the model again`);
    },
    close: unlock,
  };
}
