import { createHash } from 'node:crypto';
import { access, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { schemeOf } from '../../lib/spec';
import { expectRoom } from './disk';
import type { DownloadOptions } from './download';
import { download, loadedOf } from './download';
import type { Entry, SourceContext } from './entry';
import { shown, SourceError } from './entry';
import { missingWeights } from './external';
import { fileEntry } from './file';
import { gsEntries } from './gs';
import { hfEntries } from './hf';
import type { GuardOptions } from './host-guard';
import { fetcherOf } from './http';
import type { Ledger } from './ledger';
import { openLedger } from './ledger';
import { ociEntries } from './oci';
import { persist } from './retry';
import { s3Entries } from './s3';
import { expectNoLinks, lastSegment, namesOf, OWN_PREFIX, pathInUri, safePath } from './safe-path';
import { unpack } from './unpack';

/** Identifies the artifact in the target folder, once it is complete. */
const MARKER = `${OWN_PREFIX}.json`;

const POLL_MS = 1000;

export interface FetchJob {
  readonly uri: string;
  /** Folder to write to. */
  readonly to: string;
  /** File name, for a server that requires one. */
  readonly as?: string | undefined;
  /** The artifact is an archive to be unpacked. */
  readonly unpack?: boolean | undefined;
  /** Hex digest of the file or archive. */
  readonly sha256?: string | undefined;
  readonly endpoint?: string | undefined;
  /** File with additional trusted certificate authorities. */
  readonly ca?: string | undefined;
  /** Hosts that may have private addresses: host, `host:port`, `*.domain`. */
  readonly allowHost?: readonly string[] | undefined;
  /** Load nothing; wait this many seconds until another process has loaded it. */
  readonly wait?: number | undefined;
}

export interface FetchSurroundings extends DownloadOptions {
  readonly env: NodeJS.ProcessEnv;
  /** After this silence of a source the connection counts as lost. Milliseconds. */
  readonly silenceMs?: number;
  /** Addresses of a name; for tests. */
  readonly resolve?: GuardOptions['resolve'];
}

/** Identifies a source without storing a signed URL, which is a credential. */
const identityOf = (uri: string): string => createHash('sha256').update(uri).digest('hex');

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

function httpsEntry(uri: string, { http }: SourceContext): Entry {
  const path = lastSegment(pathInUri(uri));
  return { path, open: (headers) => http(uri, { headers }) };
}

async function entriesOf(uri: string, context: SourceContext): Promise<readonly Entry[]> {
  switch (schemeOf(uri)) {
    case 'file':
      return [fileEntry(uri)];
    case 'https':
      return [httpsEntry(uri, context)];
    case 's3':
      return s3Entries(uri, context);
    case 'gs':
      return gsEntries(uri, context);
    case 'hf':
      return hfEntries(uri, context);
    case 'oci':
      return ociEntries(uri, context);
    default:
      throw new SourceError(
        `${shown(uri)}: must be file:, https:, s3:, gs:, hf: or oci: (a pvc: is mounted, not loaded)`,
      );
  }
}

const isPacked = (entry: Entry, job: FetchJob): boolean =>
  job.unpack === true || entry.archive === true;

/** Name of an entry in the target folder. */
const nameOf = (entry: Entry, job: FetchJob): string => job.as ?? entry.path;

/** Path that an entry is loaded to: its own, or for an archive a hidden file beside its content. */
function targetOf(entry: Entry, job: FetchJob): string {
  if (!isPacked(entry, job)) return safePath(job.to, nameOf(entry, job));
  return join(job.to, `${OWN_PREFIX}-${identityOf(entry.path).slice(0, 16)}`);
}

/** Checks all names before the first request. @throws SourceError */
async function expectPlaces(entries: readonly Entry[], job: FetchJob): Promise<void> {
  const names = namesOf({ what: shown(job.uri), sameTwice: false });
  for (const entry of entries.filter((one) => !isPacked(one, job))) {
    const name = nameOf(entry, job);
    await expectNoLinks(job.to, name);
    names.claim(name);
  }
}

async function place(entry: Entry, job: FetchJob, options: FetchSurroundings): Promise<void> {
  const target = targetOf(entry, job);
  await download(entry, target, options);
  if (!isPacked(entry, job)) return;
  await unpack(target, entry.path, job.to, options);
  await rm(target);
}

async function waitFor(marker: string, seconds: number): Promise<void> {
  const end = Date.now() + seconds * 1000;
  while (!(await exists(marker))) {
    if (Date.now() > end) {
      throw new SourceError(
        `the artifact was not loaded within ${seconds} s; read the cache Job's log`,
      );
    }
    await sleep(POLL_MS);
  }
}

function checkedEntries(entries: readonly Entry[], job: FetchJob): readonly Entry[] {
  const [first] = entries;
  if (entries.length === 1 && first !== undefined) {
    return [{ ...first, sha256: job.sha256 ?? first.sha256 }];
  }
  if (job.sha256 !== undefined) {
    throw new SourceError(
      `${shown(job.uri)}: sha256 covers one file, and the artifact has ${entries.length} files; name an archive, or leave sha256 out`,
    );
  }
  if (job.as !== undefined) {
    throw new SourceError(
      `${shown(job.uri)}: the server needs one file, and the artifact has ${entries.length} files; name the file`,
    );
  }
  return entries;
}

/** The files that an earlier run has not completed. */
async function missingOf(
  entries: readonly Entry[],
  job: FetchJob,
  ledger: Ledger,
): Promise<readonly Entry[]> {
  const missing: Entry[] = [];
  for (const entry of entries) {
    const there = !isPacked(entry, job) && (await ledger.has(entry, targetOf(entry, job)));
    if (!there) missing.push(entry);
  }
  return missing;
}

/** Bytes left to load, as far as the source states them. */
async function neededFor(entries: readonly Entry[], job: FetchJob): Promise<number> {
  const loaded = await Promise.all(entries.map((entry) => loadedOf(targetOf(entry, job))));
  return entries.reduce((sum, { size = 0 }, at) => sum + Math.max(0, size - (loaded[at] ?? 0)), 0);
}

/** Loads the missing files; the disk must have room for all of them. */
async function placeAll(
  entries: readonly Entry[],
  job: FetchJob,
  options: FetchSurroundings,
): Promise<void> {
  const { uri, to } = job;
  await expectPlaces(entries, job);
  const ledger = await openLedger(to, identityOf(uri));
  const missing = await missingOf(entries, job, ledger);
  await expectRoom(shown(uri), await neededFor(missing, job), to, options.free);
  for (const entry of missing) {
    options.log(`${shown(uri)}: ${entry.path}`);
    await place(entry, job, options);
    if (!isPacked(entry, job)) await ledger.add(entry, targetOf(entry, job));
  }
  await ledger.remove();
}

/** Loads the external weights of an ONNX model, when only the model was named. */
async function placeWeights(
  entries: readonly Entry[],
  job: FetchJob,
  context: SourceContext,
  options: FetchSurroundings,
): Promise<void> {
  const [first] = entries;
  // A folder is loaded with everything in it.
  const isFile = context.single || ['file', 'https'].includes(schemeOf(job.uri) ?? '');
  if (first === undefined || entries.length > 1 || !isFile || isPacked(first, job)) return;
  const model = nameOf(first, job);
  if (!/\.onnx$/i.test(model)) return;
  for (const { uri, name } of await missingWeights(job.uri, job.to, model)) {
    const single = { ...context, single: true };
    const found = await persist(shown(uri), () => entriesOf(uri, single), options);
    await placeAll(found, { ...job, uri, as: name, sha256: undefined }, options);
  }
}

/** Variables of the pod's environment that name a store. */
const ENDPOINTS = [
  'AWS_ENDPOINT_URL_S3',
  'AWS_ENDPOINT_URL',
  'AWS_ENDPOINT_URL_STS',
  'HF_ENDPOINT',
] as const;

/** URLs that the definition and the environment name as sources. */
function namedBy({ uri, endpoint }: FetchJob, env: NodeJS.ProcessEnv): readonly string[] {
  const all = [uri, endpoint, ...ENDPOINTS.map((name) => env[name])];
  return all.filter((one) => one !== undefined);
}

async function contextOf(job: FetchJob, options: FetchSurroundings): Promise<SourceContext> {
  const { env, silenceMs, resolve } = options;
  const guard = { allowHosts: job.allowHost ?? [], named: namedBy(job, env), resolve };
  const http = await fetcherOf({ env, ca: job.ca, silenceMs, guard });
  const single = job.as !== undefined || job.unpack === true;
  return { http, env, endpoint: job.endpoint, single };
}

/**
 * Loads an artifact to a folder: resumes after a break, checks the digest, and does nothing when
 * the same artifact is already there.
 * @throws SourceError with its correction
 */
export async function fetchArtifact(job: FetchJob, options: FetchSurroundings): Promise<void> {
  const marker = join(job.to, MARKER);
  if (job.wait !== undefined) return waitFor(marker, job.wait);
  const { uri, sha256 } = job;
  const record = `${JSON.stringify({ uri: shown(uri), id: identityOf(uri), sha256 })}\n`;
  if ((await readFile(marker, 'utf8').catch(() => '')) === record) {
    options.log(`${shown(uri)}: loaded already`);
    return;
  }
  const context = await contextOf(job, options);
  await mkdir(job.to, { recursive: true });
  const entries = await persist(shown(uri), () => entriesOf(uri, context), options);
  await placeAll(checkedEntries(entries, job), job, options);
  await placeWeights(entries, job, context, options);
  await writeFile(`${marker}.next`, record);
  await rename(`${marker}.next`, marker);
}
