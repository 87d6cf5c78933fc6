import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FileContent } from '../../../lib/spec';
import type { LocalOptions } from '../../../runtime/cluster/local';
import { createLocalCluster } from '../../../runtime/cluster/local';
import type { Cluster, ReplicaRecord, Snapshot } from '../../../runtime/cluster/port';
import { now } from '../conformance';

export const CHILD = join(__dirname, '..', 'fixtures', 'child.cjs');
export const REST = { by: 'tester', manager: 'rest' };

/** Folders of a local cluster. */
export interface Place {
  /** What the cluster keeps. */
  readonly directory: string;
  /** The models folder; `m.onnx` is in it. */
  readonly models: string;
  readonly remove: () => void;
}

export function place(): Place {
  const folder = mkdtempSync(join(tmpdir(), 'local-'));
  const models = join(folder, 'models');
  mkdirSync(models);
  writeFileSync(join(models, 'm.onnx'), 'bytes of a model');
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  return { directory: join(folder, 'state'), models, remove };
}

export function open(
  { directory, models }: Place,
  more: Partial<LocalOptions> = {},
): Promise<Cluster> {
  return createLocalCluster({
    directory,
    modelsDirectory: models,
    endpoints: {},
    preStopMs: 0,
    spawnServer: { command: process.execPath, args: [CHILD] },
    baseEnv: {},
    warn: () => undefined,
    now: Date.now,
    random: () => 0.5,
    ...more,
  });
}

export function replicasIn(
  cluster: Cluster,
  snapshot: Snapshot = now(cluster),
): readonly ReplicaRecord[] {
  return snapshot.models.get('iris')?.replicas ?? [];
}

/** What a child says of itself. */
export interface Said {
  readonly pid: number;
  /** `iris=<file>` */
  readonly model: string;
  readonly version: string;
}

export async function ask(port: number | undefined): Promise<Said> {
  return (await (await fetch(`http://127.0.0.1:${port}/`)).json()) as Said;
}

/** The bytes that the process at this port was started with. */
export async function bytesOf(port: number | undefined): Promise<string> {
  const { model } = await ask(port);
  return readFileSync(model.slice(model.indexOf('=') + 1), 'utf8');
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Waits until a process is gone; it ends by itself or the test fails by its time limit. */
export async function untilGone(pid: number): Promise<void> {
  while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** A file as `discover` reads it. */
export function contentOf(folder: string): (uri: string) => FileContent {
  return (uri) => {
    const bytes = readFileSync(join(folder, uri));
    return { name: uri, bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
  };
}
