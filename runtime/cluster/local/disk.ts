import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Arm } from '../../../lib/spec';
import { DefinitionError } from '../../../lib/spec';
import { ClusterError } from '../port';
import type { StoredModel } from '../registry';
import type { ArtifactFolder } from './artifacts';
import { openArtifacts } from './artifacts';
import { acquireLock } from './lock';
import type { Store } from './store';
import { openStore } from './store';
import { entryOf } from '../../../lib/spec/entry';

export interface DiskOptions {
  /** Folder for definitions, history and artifacts; created if missing. */
  readonly directory: string;
  /** Called for damaged files. */
  readonly warn: (message: string) => void;
}

/** The storage of a local cluster. */
export interface Disk {
  readonly store: Store;
  readonly artifacts: ArtifactFolder;
  /** Folder of downloads in progress. */
  readonly loading: string;
  readonly unlock: () => void;
}

/** Digest of the arm's artifact; undefined: none. */
export function digestOf({ history }: StoredModel, { name }: Arm): string | undefined {
  return entryOf(history[0]?.artifacts, name);
}

/** Digests of all stored revisions. */
function digestsOf({ history }: StoredModel): readonly string[] {
  return history.flatMap(({ artifacts }) => Object.values(artifacts ?? {}));
}

/** Records the artifact of an arm in the newest revision. */
export function withArtifact(stored: StoredModel, arm: string, digest: string): StoredModel {
  const [newest, ...rest] = stored.history;
  if (newest === undefined) return stored;
  const artifacts = { ...newest.artifacts, [arm]: digest };
  return { ...stored, history: [{ ...newest, artifacts }, ...rest] };
}

/** @throws when the folder is in use or unusable */
export function openDisk({ directory, warn }: DiskOptions): Disk {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const unlock = acquireLock(directory);
  try {
    const store = openStore(join(directory, 'models'), warn);
    const artifacts = openArtifacts(join(directory, 'artifacts'));
    return { store, artifacts, loading: join(directory, 'loading'), unlock };
  } catch (error) {
    unlock();
    throw error;
  }
}

/** Maps errors of the file system, e.g. a full disk, to a ClusterError; the log names the file. */
export function diskRefusal(error: unknown, id: string, warn: (message: string) => void): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  const isOurs = error instanceof ClusterError || error instanceof DefinitionError;
  if (isOurs || typeof code !== 'string') return error;
  warn(`model ${id} could not be changed: ${message}`);
  return new ClusterError(
    'CLUSTER_UNAVAILABLE',
    `the service could not read or write its files (${code}), nothing was changed; its log names the file`,
  );
}

/** Removes bytes that no revision names. */
export function sweepArtifacts({ store, artifacts }: Disk, warn: (message: string) => void): void {
  try {
    if (!store.hasBroken()) artifacts.sweep(new Set([...store.models.values()].flatMap(digestsOf)));
  } catch (error) {
    warn(`old artifacts could not be removed: ${(error as Error).message}`);
  }
}
