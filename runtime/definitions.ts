import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { ModelSpec } from '../lib/spec';
import { definitionHash } from '../lib/spec';
import type { Cluster } from './cluster/port';
import { ClusterError } from './cluster/port';

/** Who writes what comes from files, as revisions name it. */
const MANAGER = 'files';

/** What a look at the folder did. */
export interface SyncReport {
  readonly applied: readonly string[];
  readonly removed: readonly string[];
  readonly unchanged: readonly string[];
  /** Models that the cluster refused, with its sentence. */
  readonly refused: readonly { readonly id: string; readonly message: string }[];
}

export interface DefinitionsOptions {
  readonly cluster: Cluster;
  /** Reads and parses the whole folder; throws when any definition has faults. */
  readonly load: () => Promise<readonly ModelSpec[]>;
  /** File that remembers what was applied, so that an unchanged file yields to what REST did since. */
  readonly memory: string;
}

export interface Definitions {
  /**
   * Makes the cluster follow what changed in the folder since the last time: changed files become
   * new revisions, vanished ones are removed, unchanged ones are left to whoever changed the model
   * since.
   * @throws DefinitionError when a definition has faults; nothing was changed then
   */
  readonly sync: () => Promise<SyncReport>;
}

type Digests = Readonly<Record<string, string>>;

/** A definition and its artifacts, as one digest: a retrained file under the same name is a change. */
function digestOf(spec: ModelSpec): string {
  const artifacts = spec.arms.map(({ source }) => source?.content?.sha256 ?? '');
  return createHash('sha256')
    .update([definitionHash(spec.definition), ...artifacts].join('\n'))
    .digest('hex');
}

async function remembered(file: string): Promise<Digests> {
  try {
    const value: unknown = JSON.parse(await readFile(file, 'utf8'));
    return typeof value === 'object' && value !== null ? (value as Digests) : {};
  } catch {
    // Missing at first; broken is as good as missing: every file is applied again and leads.
    return {};
  }
}

async function remember(file: string, digests: Digests): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const next = `${file}.next`;
  const handle = await open(next, 'w');
  try {
    await handle.writeFile(`${JSON.stringify(digests, null, 2)}\n`);
    // Torn after a power cut it would make every file lead again, over what REST did since.
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(next, file);
}

type Verdict = 'applied' | 'unchanged' | { readonly refused: string };

async function applyOne(cluster: Cluster, spec: ModelSpec): Promise<Verdict> {
  try {
    const options = { by: MANAGER, manager: MANAGER, force: true };
    const { changed } = await cluster.apply(spec, options);
    return changed ? 'applied' : 'unchanged';
  } catch (error) {
    if (error instanceof ClusterError) return { refused: error.message };
    throw error;
  }
}

/** Removes models whose file is gone, unless REST has taken them over since. */
async function removeGone(cluster: Cluster, gone: readonly string[]): Promise<readonly string[]> {
  const view = cluster.watch(() => undefined);
  const { models } = view.snapshot();
  view.stop();
  const ours = gone.filter((id) => models.get(id)?.manager === MANAGER);
  for (const id of ours) await cluster.remove(id, { by: MANAGER, manager: MANAGER });
  return ours;
}

/** Keeps a cluster in step with a folder of definitions. */
export function createDefinitions({ cluster, load, memory }: DefinitionsOptions): Definitions {
  const syncOnce = async (): Promise<SyncReport> => {
    const specs = await load();
    const before = await remembered(memory);
    const after: Record<string, string> = {};
    const verdicts = new Map<string, Verdict>();
    for (const spec of specs) {
      const digest = digestOf(spec);
      const verdict = before[spec.id] === digest ? 'unchanged' : await applyOne(cluster, spec);
      verdicts.set(spec.id, verdict);
      // A refused one is tried again at the next start: its cause may lie outside the file.
      if (typeof verdict === 'string') after[spec.id] = digest;
    }
    const gone = Object.keys(before).filter((id) => !verdicts.has(id));
    const removed = await removeGone(cluster, gone);
    await remember(memory, after);
    return reportOf(verdicts, removed);
  };
  let last: Promise<unknown> = Promise.resolve();
  return {
    sync: () => {
      const next = last.then(syncOnce, syncOnce);
      last = next;
      return next;
    },
  };
}

function reportOf(verdicts: ReadonlyMap<string, Verdict>, removed: readonly string[]): SyncReport {
  const all = [...verdicts];
  const ids = (wanted: Verdict): string[] =>
    all.filter(([, verdict]) => verdict === wanted).map(([id]) => id);
  const refused = all.flatMap(([id, verdict]) =>
    typeof verdict === 'string' ? [] : [{ id, message: verdict.refused }],
  );
  return { applied: ids('applied'), unchanged: ids('unchanged'), removed, refused };
}
