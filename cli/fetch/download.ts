import type { Hash } from 'node:crypto';
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { expectRoom, sizeText } from './disk';
import type { Entry, Headers } from './entry';
import { expectOk, SourceError } from './entry';
import type { ProgressOptions } from './progress';
import { progressLines } from './progress';
import type { RetryOptions } from './retry';
import { persist } from './retry';
import { PART, PART_TAG } from './safe-path';

/** The bytes do not have the stated digest. */
class DigestError extends SourceError {}

export interface DownloadOptions extends RetryOptions, ProgressOptions {
  /** Free bytes of a folder's disk. */
  readonly free?: ((folder: string) => Promise<number>) | undefined;
}

/** A running download. */
interface Part {
  readonly entry: Entry;
  readonly file: string;
  /** File with the entity tag of the content in `file`. */
  readonly tagFile: string;
  readonly options: DownloadOptions;
  /** Digest of the first `hashed` bytes, computed while they arrive. */
  hash: Hash;
  hashed: number;
  /** Its parts come from several requests, perhaps of different contents. */
  joined: boolean;
}

async function sizeOf(file: string): Promise<number> {
  return stat(file).then(
    ({ size }) => size,
    () => 0,
  );
}

/** Bytes of a file that an earlier run has loaded. */
export const loadedOf = (target: string): Promise<number> => sizeOf(`${target}${PART}`);

/** A weak tag does not promise equal bytes (RFC 9110, 8.8.1). */
const strongTag = (headers: Response['headers']): string | undefined => {
  const tag = headers.get('etag');
  return tag === null || tag.startsWith('W/') ? undefined : tag;
};

function resumeHeaders(from: number, tag: string | undefined): Headers {
  if (from === 0) return {};
  return { range: `bytes=${from}-`, ...(tag !== undefined && { 'if-range': tag }) };
}

async function removePart({ file, tagFile }: Part): Promise<void> {
  await rm(file, { force: true });
  await rm(tagFile, { force: true });
}

/** Whether the response continues exactly where the part ends, with the same content. */
function goesOn({ status, headers }: Response, from: number, tag: string | undefined): boolean {
  const [, start] = /^bytes (\d+)-/.exec(headers.get('content-range') ?? '') ?? [];
  const now = strongTag(headers);
  const same = tag === undefined || now === undefined || tag === now;
  return status === 206 && from > 0 && Number(start) === from && same;
}

function totalOf({ headers }: Response, from: number): number | undefined {
  const length = headers.get('content-length');
  // A content coding is decoded by now: the stated length is not that of these bytes.
  const packed = (headers.get('content-encoding') ?? 'identity') !== 'identity';
  return length === null || packed ? undefined : from + Number(length);
}

/** Offset to resume from; a part that may be of other content is loaded anew. */
async function placeOf({ entry, file, tagFile }: Part) {
  const tag = await readFile(tagFile, 'utf8').catch(() => undefined);
  const size = await sizeOf(file);
  const provable = tag !== undefined || entry.sha256 !== undefined;
  return { from: provable ? size : 0, tag };
}

/** Appends the body; counts and hashes it. */
async function receive(part: Part, response: Response, from: number): Promise<void> {
  const { entry, file, options } = part;
  const total = totalOf(response, from);
  const count = progressLines(entry.path, from, total, options);
  if (from === 0) [part.hash, part.hashed] = [createHash('sha256'), 0];
  const whole = part.hashed === from;
  async function* counted(source: AsyncIterable<Uint8Array>) {
    for await (const chunk of source) {
      if (whole) part.hash.update(chunk);
      if (whole) part.hashed += chunk.length;
      count(chunk.length);
      yield chunk;
    }
  }
  if (response.body === null) throw new Error('the source answered without a body');
  const flags = from > 0 ? 'a' : 'w';
  // Flushed: on a shared volume, a marker must not be visible before the bytes are.
  const sink = createWriteStream(file, { flags, flush: true });
  await pipeline(Readable.fromWeb(response.body), counted, sink);
  const size = await sizeOf(file);
  if (total !== undefined && size < total) {
    throw new Error(`ended after ${sizeText(size)} of ${sizeText(total)}`);
  }
}

/**
 * 416: the part is as long as the content, as its digest or length confirms; or it is of other
 * content.
 */
async function nothingLeft(part: Part, response: Response, from: number): Promise<void> {
  await response.body?.cancel();
  const [, length] = /^bytes \*\/(\d+)$/.exec(response.headers.get('content-range') ?? '') ?? [];
  if (length === undefined ? part.entry.sha256 !== undefined : Number(length) === from) return;
  await removePart(part);
  throw new Error('the partial file is of other content');
}

async function goOn(part: Part): Promise<void> {
  const { entry, file, tagFile, options } = part;
  const { from, tag } = await placeOf(part);
  const response = await entry.open(resumeHeaders(from, tag));
  if (response.status === 416 && from > 0) return nothingLeft(part, response, from);
  await expectOk(response, entry.path);
  const resumed = goesOn(response, from, tag);
  if (response.status === 206 && !resumed) {
    await response.body?.cancel();
    await removePart(part);
    throw new Error('the content of the source has changed');
  }
  const start = resumed ? from : 0;
  part.joined ||= resumed;
  const left = (totalOf(response, start) ?? start) - start;
  await expectRoom(entry.path, left, dirname(file), options.free);
  if (!resumed) await writeTag(tagFile, strongTag(response.headers));
  await receive(part, response, start);
}

function writeTag(file: string, tag: string | undefined): Promise<void> {
  return tag === undefined ? rm(file, { force: true }) : writeFile(file, tag);
}

async function digestOf({ file, hash, hashed }: Part): Promise<string> {
  if (hashed === (await sizeOf(file))) return hash.copy().digest('hex');
  const all = createHash('sha256');
  await pipeline(createReadStream(file), all);
  return all.digest('hex');
}

/** @throws DigestError and removes the file when its digest is not the wanted one */
async function verify(part: Part, wanted: string): Promise<void> {
  const got = await digestOf(part);
  if (got === wanted) return;
  await removePart(part);
  throw new DigestError(
    `${part.entry.path}: artifact digest mismatch: got sha256 ${got}, must be ${wanted}; ` +
      "the artifact changed or is broken: check the source, then the definition's sha256",
  );
}

async function loadAndVerify(part: Part): Promise<void> {
  const { entry, file, options } = part;
  await persist(
    entry.path,
    () => goOn(part),
    options,
    () => sizeOf(file),
  );
  if (entry.sha256 !== undefined) await verify(part, entry.sha256);
}

/**
 * Loads one file to `target`: first to a `.part` beside it, which a later run resumes; the file
 * gets its name when it is complete and its digest is right.
 * @throws SourceError when a retry would not help
 */
export async function download(
  entry: Entry,
  target: string,
  options: DownloadOptions,
): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  const [file, tagFile] = [`${target}${PART}`, `${target}${PART_TAG}`];
  const fresh = { hash: createHash('sha256'), hashed: 0, joined: false };
  const part: Part = { entry, file, tagFile, options, ...fresh };
  try {
    await loadAndVerify(part);
  } catch (error) {
    if (!(error instanceof DigestError) || !part.joined) throw error;
    // A part of two contents is always wrong; a whole download may be right.
    options.log(`${error.message}; it was loaded in pieces, so it is loaded once more`);
    await removePart(part);
    await loadAndVerify({ ...part, ...fresh, hash: createHash('sha256') });
  }
  await rename(file, target);
  await rm(tagFile, { force: true });
}
