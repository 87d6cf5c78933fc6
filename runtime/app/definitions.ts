import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { ModelSpec } from '../../lib/spec';
import { definitionHash } from '../../lib/spec';
import type { Cluster } from '../cluster/port';
import type { BrokenFile } from '../control';
import { messageOf } from '../core/lifecycle/fault';

/** Manager recorded for definitions from files. */
const MANAGER = 'files';

/** Result of one sync of the folder. */
export interface SyncReport {
  readonly applied: readonly string[];
  readonly removed: readonly string[];
  readonly unchanged: readonly string[];
  /** Models that the cluster refused, with its sentence. */
  readonly refused: readonly { readonly id: string; readonly message: string }[];
  readonly broken: readonly BrokenFile[];
}

/** Content of the folder. */
export interface LoadedFolder {
  readonly specs: readonly { readonly spec: ModelSpec; readonly file: string }[];
  readonly broken: readonly Omit<BrokenFile, 'id'>[];
}

export interface DefinitionsOptions {
  readonly cluster: Cluster;
  /** Reads and parses the folder, file by file; throws when the folder cannot be read. */
  readonly load: () => Promise<LoadedFolder>;
  /** File that remembers what was applied, so that an unchanged file yields to what REST did since. */
  readonly memory: string;
}

export interface Definitions {
  /**
   * Applies the changes of the folder since the last time: changed files become new revisions,
   * models of deleted files are removed, and unchanged files leave later changes by REST in place.
   * A file with faults leaves its model unchanged, with its last good definition, and delays no
   * other file.
   * @throws DefinitionError when the folder cannot be read; nothing was changed then
   */
  readonly sync: () => Promise<SyncReport>;
  /** Files that could not be used in the last pass. */
  readonly broken: () => readonly BrokenFile[];
}

/** The definition of a model as it was applied. */
interface AppliedFile {
  readonly digest: string;
  /** Its file; undefined: an earlier release wrote this entry. */
  readonly file?: string | undefined;
}

type AppliedFiles = ReadonlyMap<string, AppliedFile>;

/** A definition and its artifacts, as one digest: a retrained file under the same name is a change. */
function digestOf(spec: ModelSpec): string {
  const artifacts = spec.arms.map(({ source }) => source?.content?.sha256 ?? '');
  return createHash('sha256')
    .update([definitionHash(spec.definition), ...artifacts].join('\n'))
    .digest('hex');
}

function memoryOf(value: unknown): AppliedFile | undefined {
  if (typeof value === 'string') return { digest: value };
  const { digest, file } = (value ?? {}) as Partial<Record<keyof AppliedFile, unknown>>;
  if (typeof digest !== 'string') return undefined;
  return { digest, file: typeof file === 'string' ? file : undefined };
}

async function remembered(file: string): Promise<AppliedFiles> {
  try {
    const value: unknown = JSON.parse(await readFile(file, 'utf8'));
    const entries = Object.entries((value ?? {}) as object);
    const known = entries.map(([id, one]) => [id, memoryOf(one)] as const);
    return new Map(known.filter((entry): entry is [string, AppliedFile] => entry[1] !== undefined));
  } catch {
    // Missing at first; broken is as good as missing: every file is applied again and leads.
    return new Map();
  }
}

async function remember(file: string, memories: AppliedFiles): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const next = `${file}.next`;
  const handle = await open(next, 'w');
  try {
    await handle.writeFile(`${JSON.stringify(Object.fromEntries(memories), null, 2)}\n`);
    // Torn after a power cut it would make every file lead again, over what REST did since.
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(next, file);
}

type ApplyResult = 'applied' | 'unchanged' | { readonly refused: string };

async function applyOne(cluster: Cluster, spec: ModelSpec): Promise<ApplyResult> {
  try {
    const options = { by: MANAGER, manager: MANAGER, force: true };
    const { changed } = await cluster.apply(spec, options);
    return changed ? 'applied' : 'unchanged';
  } catch (error) {
    // Only this model is affected; the others are applied.
    return { refused: messageOf(error) };
  }
}

interface Removed {
  readonly removed: readonly string[];
  readonly failed: SyncReport['refused'];
}

/** Removes models whose file is gone, unless REST has taken them over since. */
async function removeGone(cluster: Cluster, gone: readonly string[]): Promise<Removed> {
  const view = cluster.watch(() => undefined);
  const { models } = view.snapshot();
  view.stop();
  const ours = gone.filter((id) => models.get(id)?.manager === MANAGER);
  const results = await Promise.allSettled(
    ours.map((id) => cluster.remove(id, { by: MANAGER, manager: MANAGER })),
  );
  const failed = results.flatMap((result, at) =>
    result.status === 'fulfilled'
      ? []
      : [{ id: ours[at] ?? '', message: messageOf(result.reason) }],
  );
  return { removed: ours.filter((id) => failed.every((one) => one.id !== id)), failed };
}

/**
 * Models whose file is gone. A model with a broken file stays, and so does every model without a
 * file while a broken file may hold it: the id in that file is unknown.
 */
function goneOf(before: AppliedFiles, loaded: LoadedFolder): readonly string[] {
  const ids = new Set(loaded.specs.map(({ spec }) => spec.id));
  const missing = [...before].filter(([id]) => !ids.has(id));
  const files = new Set([...before.values()].map(({ file }) => file));
  const broken = new Set(loaded.broken.map(({ file }) => file));
  const isLost = ([, { file }]: readonly [string, AppliedFile]): boolean =>
    file !== undefined && !broken.has(file);
  const lost = broken.size === 0 ? missing : missing.filter(isLost);
  return [...broken].some((file) => !files.has(file)) ? [] : lost.map(([id]) => id);
}

function brokenOf(before: AppliedFiles, { broken, specs }: LoadedFolder): readonly BrokenFile[] {
  const served = new Set(specs.map(({ spec }) => spec.id));
  return broken.map((one) => {
    const known = [...before].find(([id, { file }]) => file === one.file && !served.has(id));
    return known === undefined ? one : { ...one, id: known[0] };
  });
}

/** Keeps a cluster in step with a folder of definitions. */
export function createDefinitions({ cluster, load, memory }: DefinitionsOptions): Definitions {
  let broken: readonly BrokenFile[] = [];
  const syncOnce = async (): Promise<SyncReport> => {
    const loaded = await load();
    const before = await remembered(memory);
    const after = new Map(before);
    const verdicts = new Map<string, ApplyResult>();
    for (const { spec, file } of loaded.specs) {
      const digest = digestOf(spec);
      const isSame = before.get(spec.id)?.digest === digest;
      const verdict = isSame ? 'unchanged' : await applyOne(cluster, spec);
      verdicts.set(spec.id, verdict);
      // Rejected definitions are tried again at the next start: the cause may be elsewhere.
      if (typeof verdict === 'string') after.set(spec.id, { digest, file });
      else after.delete(spec.id);
    }
    const gone = goneOf(before, loaded);
    const { removed, failed } = await removeGone(cluster, gone);
    for (const id of gone) after.delete(id);
    for (const { id } of failed) after.set(id, before.get(id) ?? { digest: '' });
    await remember(memory, after);
    broken = brokenOf(before, loaded);
    return { ...reportOf(verdicts, removed, failed), broken };
  };
  let last: Promise<unknown> = Promise.resolve();
  return {
    broken: () => broken,
    sync: () => {
      const next = last.then(syncOnce, syncOnce);
      last = next;
      return next;
    },
  };
}

function reportOf(
  verdicts: ReadonlyMap<string, ApplyResult>,
  removed: readonly string[],
  failed: SyncReport['refused'],
): Omit<SyncReport, 'broken'> {
  const all = [...verdicts];
  const ids = (wanted: ApplyResult): string[] =>
    all.filter(([, verdict]) => verdict === wanted).map(([id]) => id);
  const refused = all.flatMap(([id, verdict]) =>
    typeof verdict === 'string' ? [] : [{ id, message: verdict.refused }],
  );
  return {
    applied: ids('applied'),
    unchanged: ids('unchanged'),
    removed,
    refused: [...refused, ...failed],
  };
}
