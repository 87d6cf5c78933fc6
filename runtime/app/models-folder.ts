import { join, resolve } from 'node:path';
import { discoverEach } from '../../lib/synth/discover';
import type { Audit } from '../audit';
import type { Cluster, Watch } from '../cluster/port';
import type { Config } from './config';
import type { BrokenFile } from '../control';
import type { ModelRecord, Snapshot } from '../core/lifecycle/snapshot';
import { statusOf } from '../core/lifecycle/status';
import type { Definitions, LoadedFolder, SyncReport } from './definitions';
import { createDefinitions } from './definitions';
import { clock } from '../shared/clock';
import type { Log } from '../shared/log';
import { watchFolder } from '../shared/folder-watch';

export interface ModelsFolderOptions {
  readonly config: Config;
  /** Folder that the paths of the configuration are relative to. */
  readonly cwd: string;
  readonly log: Log;
  /** Called after a change of the folder was applied, e.g. to write the manifests again. */
  readonly onModelsChanged?: ((report: SyncReport) => Promise<void>) | undefined;
}

/** The folder of definitions, followed while the service runs. */
export interface ModelsFolder extends Definitions {
  /** Resolves when no later change can be missed. */
  readonly ready: Promise<void>;
  /** Resolves when the change that is being applied is applied: nothing is written after it. */
  readonly stop: () => Promise<void>;
}

const NOTHING_READ: SyncReport = {
  applied: [],
  removed: [],
  unchanged: [],
  refused: [],
  broken: [],
};
/** A change by `git checkout` touches hundreds of files; the log names the first. */
const NAMED_FILES = 5;

/** `a.yaml, b.yaml and 3 more files changed` */
function changedLine(folder: string, paths: readonly string[]): string {
  const named = paths.slice(0, NAMED_FILES).map((path) => join(folder, path));
  const more = paths.length - named.length;
  const rest = more === 0 ? '' : ` and ${more} more ${more === 1 ? 'file' : 'files'}`;
  return `${named.join(', ')}${rest} changed`;
}

/** A model that was applied and has not been seen to answer yet. */
interface Unsettled {
  /** `performance.now()` when it was applied. */
  readonly since: number;
  /** Why it does not start, as it was logged last. */
  readonly failure?: string;
}

/** Logs when each model answers with its new definition, and each reason why it does not start. */
class SettledLog {
  private readonly unsettled = new Map<string, Unsettled>();
  private watch: Watch | undefined;

  constructor(
    private readonly cluster: Cluster,
    private readonly log: Log,
  ) {}

  follow(ids: readonly string[]): void {
    for (const id of ids) this.unsettled.set(id, { since: performance.now() });
    if (this.watch !== undefined) this.look(this.watch.snapshot().models);
    else if (ids.length > 0) this.watch = this.cluster.watch(({ models }) => this.look(models));
  }

  stop(): void {
    this.watch?.stop();
    this.watch = undefined;
  }

  private look(models: Snapshot['models']): void {
    for (const [id, unsettled] of this.unsettled) {
      const next = this.after(id, models.get(id), unsettled);
      if (next === undefined) this.unsettled.delete(id);
      else this.unsettled.set(id, next);
    }
  }

  private after(id: string, record: ModelRecord | undefined, before: Unsettled) {
    if (record === undefined) return undefined;
    const { status, why } = statusOf(record);
    if (status === 'running') {
      const ms = Math.round(performance.now() - before.since);
      this.log.info('answers with its new definition', { model: id, ms });
      return undefined;
    }
    const failure = status === 'failed' ? (why?.message ?? 'see its status') : before.failure;
    if (failure !== undefined && failure !== before.failure) {
      this.log.warn(`does not start: ${failure}`, { model: id });
    }
    return failure === undefined ? before : { ...before, failure };
  }
}

function logReport({ removed, refused }: SyncReport, log: Log): void {
  for (const id of removed) log.info('removed, because its file is gone', { model: id });
  for (const { id, message } of refused) log.warn(message, { model: id });
}

/** Actor of the changes that files make, as the revisions of a model name it. */
const FILES_ACTOR = 'files';
/** HTTP status of a change that was made. */
const DONE = 200;

/** No caller asked for these changes either. */
function recordReport({ applied, removed }: SyncReport, { record }: Pick<Audit, 'record'>): void {
  const change = (action: string, reason: string) => (model: string) =>
    record({ at: clock.now(), caller: FILES_ACTOR, action, model, reason, status: DONE });
  applied.forEach(change('deploy', 'its file has changed'));
  removed.forEach(change('delete', 'its file is gone'));
}

/** Logs what is wrong with each file once, and again only when it is something else. */
function createBrokenLog(log: Log): (broken: readonly BrokenFile[]) => void {
  let told: ReadonlyMap<string, string> = new Map();
  return (broken) => {
    for (const { file, message, id } of broken) {
      if (told.get(file) === message) continue;
      log.error(message, id === undefined ? {} : { model: id, serves: 'the last good definition' });
    }
    const files = new Map(broken.map(({ file, message }) => [file, message]));
    for (const file of told.keys()) if (!files.has(file)) log.info('is right again', { file });
    told = files;
  };
}

async function load(folder: string): Promise<LoadedFolder> {
  const { definitions, errors } = await discoverEach(folder);
  return {
    specs: definitions.map(({ spec, file }) => ({ spec, file })),
    broken: errors.map(({ file = folder, message }) => ({ file, message })),
  };
}

/**
 * Keeps the cluster in step with the models folder. On Kubernetes definitions come by REST or
 * kubectl instead: several routers with a folder each would overwrite each other.
 */
export function openModelsFolder(
  options: ModelsFolderOptions,
  cluster: Cluster,
  audit: Pick<Audit, 'record'>,
): ModelsFolder {
  const { config, cwd, log, onModelsChanged } = options;
  const nothing = { ready: Promise.resolve(), stop: () => Promise.resolve() };
  if (config.cluster === 'kubernetes') {
    return { sync: async () => NOTHING_READ, broken: () => [], ...nothing };
  }
  const folder = resolve(cwd, config.models.directory);
  const memory = join(resolve(cwd, config.local.directory), 'files.json');
  const logBroken = createBrokenLog(log);
  const files = createDefinitions({ cluster, load: () => load(folder), memory });
  const sync = async (): Promise<SyncReport> => {
    const report = await files.sync();
    logBroken(report.broken);
    logReport(report, log);
    recordReport(report, audit);
    return report;
  };
  const definitions: Definitions = { ...files, sync };
  if (!config.models.watch) return { ...definitions, ...nothing };
  const settled = new SettledLog(cluster, log);
  const follow = async (paths: readonly string[]): Promise<void> => {
    log.info(changedLine(config.models.directory, paths));
    const report = await sync();
    settled.follow(report.applied);
    await onModelsChanged?.(report);
  };
  let followed: Promise<void> = Promise.resolve();
  const watch = watchFolder(folder, (paths) => {
    followed = followed
      .then(() => follow(paths))
      .catch((error: unknown) => {
        log.error(`nothing was changed:\n${(error as Error).message}`);
      });
  });
  const stop = async (): Promise<void> => {
    watch.stop();
    await followed;
    settled.stop();
  };
  return { ...definitions, ready: watch.ready, stop };
}
