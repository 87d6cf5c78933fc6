import { createReadStream } from 'node:fs';
import { access, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, fetch as undiciFetch } from 'undici';
import { filePathOf, schemeOf } from '../../lib/spec';
import { download } from './download';
import type { Entry, Fetcher, SourceContext } from './entry';
import { lastSegment, rangeHeader, SourceError } from './entry';
import { gsEntries } from './gs';
import { hfEntries } from './hf';
import { ociEntries } from './oci';
import { s3Entries } from './s3';
import { inside, unpack } from './unpack';

/** Says in the target folder what lies there, once all of it does. */
const MARKER = '.artifact.json';

const POLL_MS = 1000;

export interface FetchJob {
  readonly uri: string;
  /** Folder to write to. */
  readonly to: string;
  /** Name of the file, for a server that wants one. */
  readonly as?: string | undefined;
  /** The artifact is an archive whose content is wanted. */
  readonly unpack?: boolean | undefined;
  /** Hex digest of the file or archive. */
  readonly sha256?: string | undefined;
  readonly endpoint?: string | undefined;
  /** File with certificate authorities that are believed beside the usual ones. */
  readonly ca?: string | undefined;
  /** Only wait, this many seconds, until another process has put it there. */
  readonly wait?: number | undefined;
}

export interface FetchSurroundings {
  readonly env: NodeJS.ProcessEnv;
  readonly log: (line: string) => void;
  readonly pauseMs?: number;
}

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

async function fetcherOf(ca: string | undefined): Promise<Fetcher> {
  if (ca === undefined) return fetch;
  const { rootCertificates } = await import('node:tls');
  const dispatcher = new Agent({
    connect: { ca: [...rootCertificates, await readFile(ca, 'utf8')] },
  });
  return (url, init) =>
    undiciFetch(url, { ...(init as object), dispatcher }) as unknown as Promise<Response>;
}

/** A local file answers like a source, so that everything after it is one way. */
function fileEntry(uri: string): Entry {
  const path = filePathOf(uri);
  const open = async (from: number): Promise<Response> => {
    if (!(await exists(path))) throw new SourceError(`${path}: no such file; check the URI`);
    const stream = Readable.toWeb(createReadStream(path, { start: from }));
    return new Response(stream as ReadableStream, { status: from > 0 ? 206 : 200 });
  };
  return { path: lastSegment(path), open };
}

async function entriesOf(uri: string, context: SourceContext): Promise<readonly Entry[]> {
  switch (schemeOf(uri)) {
    case 'file':
      return [fileEntry(uri)];
    case 'https':
      return [
        {
          path: lastSegment(uri),
          open: (from) => context.http(uri, { headers: rangeHeader(from) }),
        },
      ];
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
        `${uri}: must be file:, https:, s3:, gs:, hf: or oci: (a pvc: is mounted, not loaded)`,
      );
  }
}

async function place(entry: Entry, job: FetchJob, options: FetchSurroundings): Promise<void> {
  if (job.unpack === true || entry.archive === true) {
    const archive = join(job.to, `.${lastSegment(entry.path)}`);
    await download(entry, archive, options);
    await unpack(archive, entry.path, job.to);
    await rm(archive);
  } else {
    await download(entry, inside(job.to, job.as ?? entry.path), options);
  }
}

async function waitFor(marker: string, seconds: number): Promise<void> {
  const end = Date.now() + seconds * 1000;
  while (!(await exists(marker))) {
    if (Date.now() > end) {
      throw new SourceError(
        `the artifact was not there after ${seconds} s; read the cache Job's log`,
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
      `${job.uri}: sha256 is of one file, and this is ${entries.length} files; name an archive, or leave sha256 out`,
    );
  }
  if (job.as !== undefined) {
    throw new SourceError(
      `${job.uri}: the server wants one file, and this is ${entries.length} files; name the file`,
    );
  }
  return entries;
}

/**
 * Brings an artifact to a folder: resumes where it was cut off, checks the digest, and does nothing
 * when the same artifact is already there.
 * @throws SourceError with a sentence that says what to do
 */
export async function fetchArtifact(job: FetchJob, options: FetchSurroundings): Promise<void> {
  const marker = join(job.to, MARKER);
  if (job.wait !== undefined) return waitFor(marker, job.wait);
  const { uri, sha256 } = job;
  const record = `${JSON.stringify({ uri, sha256 })}\n`;
  if ((await readFile(marker, 'utf8').catch(() => '')) === record) {
    options.log(`${uri}: already there`);
    return;
  }
  const context: SourceContext = {
    http: await fetcherOf(job.ca),
    env: options.env,
    endpoint: job.endpoint,
    single: job.as !== undefined || job.unpack === true,
  };
  await mkdir(job.to, { recursive: true });
  for (const entry of checkedEntries(await entriesOf(uri, context), job)) {
    options.log(`${uri}: ${entry.path}`);
    await place(entry, job, options);
  }
  await writeFile(`${marker}.next`, record);
  await rename(`${marker}.next`, marker);
}
