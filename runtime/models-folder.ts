import { join, resolve } from 'node:path';
import { discoverEach } from '../lib/synth/discover';
import type { Cluster } from './cluster/port';
import type { Config } from './config';
import type { BrokenFile } from './control';
import type { ModelRecord } from './core/snapshot';
import { statusOf } from './core/status';
import type { Definitions, Loaded, SyncReport } from './definitions';
import { createDefinitions } from './definitions';
import type { Log } from './log';
import { watchFolder } from './shared/folder-watch';

export interface ModelsFolderOptions {
  readonly config: Config;
  /** Folder that the paths of the configuration are relative to. */
  readonly cwd: string;
  readonly log: Log;
  /** Called after a change of the folder was applied, e.g. to write the manifests again. */
  readonly onModelsChanged?: (() => Promise<void>) | undefined;
}

/** The folder of definitions, followed while the service runs. */
export interface ModelsFolder extends Definitions {
  /** Resolves when no later change can be missed. */
  readonly ready: Promise<void>;
  readonly stop: () => void;
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

/** What is to be logged of a model that was applied, once it is known. */
function settledLine(record: ModelRecord | undefined): string | undefined {
  if (record === undefined) return 'was removed meanwhile';
  const { status, why } = statusOf(record);
  if (status === 'running') return 'answers with its new definition';
  return status === 'failed' ? `does not start: ${why?.message ?? 'see its status'}` : undefined;
}

/** Logs when each model answers with its new definition, or why it does not. */
function logSettled(cluster: Cluster, ids: readonly string[], log: Log): void {
  const started = performance.now();
  const waiting = new Set(ids);
  const watch = cluster.watch(({ models }) => {
    for (const id of waiting) {
      const line = settledLine(models.get(id));
      if (line === undefined) continue;
      waiting.delete(id);
      log.info(line, { model: id, ms: Math.round(performance.now() - started) });
    }
    // The first call comes before `watch` has returned.
    if (waiting.size === 0) queueMicrotask(() => watch.stop());
  });
}

function logReport({ removed, refused }: SyncReport, log: Log): void {
  for (const id of removed) log.info('removed, because its file is gone', { model: id });
  for (const { id, message } of refused) log.warn(message, { model: id });
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

async function load(folder: string): Promise<Loaded> {
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
export function openModelsFolder(options: ModelsFolderOptions, cluster: Cluster): ModelsFolder {
  const { config, cwd, log, onModelsChanged } = options;
  const nothing = { ready: Promise.resolve(), stop: () => undefined };
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
    return report;
  };
  const definitions: Definitions = { ...files, sync };
  const follow = async (paths: readonly string[]): Promise<void> => {
    log.info(changedLine(config.models.directory, paths));
    const report = await sync();
    logReport(report, log);
    logSettled(cluster, report.applied, log);
    await onModelsChanged?.();
  };
  if (!config.models.watch) return { ...definitions, ...nothing };
  const watch = watchFolder(folder, (paths) => {
    follow(paths).catch((error: unknown) => {
      log.error(`nothing was changed:\n${(error as Error).message}`);
    });
  });
  return { ...definitions, ...watch };
}
