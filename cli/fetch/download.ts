import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Entry } from './entry';
import { expectOk, SourceError } from './entry';

/** A model of 100 GB is worth a few cuts; a source that is gone for minutes is not waited for. */
const TRIES = 6;
const FIRST_PAUSE_MS = 500;

export interface DownloadOptions {
  readonly log: (line: string) => void;
  /** First pause between tries, milliseconds; doubles. */
  readonly pauseMs?: number;
}

async function sizeOf(file: string): Promise<number> {
  return stat(file).then(
    ({ size }) => size,
    () => 0,
  );
}

export async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

/** Asks for what is missing; a source that ignores the range starts anew. */
async function goOn({ open, path }: Entry, part: string): Promise<void> {
  const from = await sizeOf(part);
  const response = await open(from);
  // 416: the part already holds everything; its digest decides.
  if (response.status === 416 && from > 0) {
    await response.body?.cancel();
    return;
  }
  const { status, body } = await expectOk(response, path);
  const flags = from > 0 && status === 206 ? 'a' : 'w';
  if (body === null) throw new Error(`${path}: the source answered without a body`);
  await pipeline(Readable.fromWeb(body), createWriteStream(part, { flags }));
}

/**
 * Loads one file to `target`: to a `.part` beside it first, which a later start goes on with; the
 * name appears only when everything is there and the digest is right.
 * @throws SourceError when trying again would not help
 */
export async function download(
  entry: Entry,
  target: string,
  { log, pauseMs = FIRST_PAUSE_MS }: DownloadOptions,
): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  const part = `${target}.part`;
  for (let attempt = 1; ; attempt += 1) {
    try {
      await goOn(entry, part);
      break;
    } catch (error) {
      if (error instanceof SourceError || attempt === TRIES) throw error;
      log(`${entry.path}: ${String(error)}; going on (try ${attempt + 1} of ${TRIES})`);
      await sleep(pauseMs * 2 ** (attempt - 1));
    }
  }
  if (entry.sha256 !== undefined) await verify(part, entry.sha256, entry.path);
  await rename(part, target);
}

/** @throws SourceError and removes the file when its digest is not the wanted one */
export async function verify(file: string, wanted: string, what: string): Promise<void> {
  const got = await sha256Of(file);
  if (got === wanted) return;
  await rm(file, { force: true });
  throw new SourceError(
    `${what}: artifact digest mismatch: got sha256 ${got}, must be ${wanted}; the artifact changed or is broken: check the source, then the definition's sha256`,
  );
}
