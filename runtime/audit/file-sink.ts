import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open, realpath, rename, rm, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { LINE_START } from './entry';
import type { FileLine } from './line-reader';
import { linesOf } from './line-reader';
import { rotatedFiles, rotatedName } from './rotated-files';
import type { Opened, Sink } from './sink';
import { noLines, PartialWrite } from './sink';

/** When a file is put away and another one begun. */
export interface Rotation {
  /** Undefined: whatever its size. */
  readonly bytes?: number | undefined;
  /** Since its first line; undefined: whatever its age. */
  readonly ms?: number | undefined;
  /** Files that are kept beside the one that is written; undefined: all. */
  readonly keep?: number | undefined;
}

export interface FileSinkOptions {
  readonly file: string;
  readonly rotation: Rotation;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Tells what is worth knowing and holds nothing up. */
  readonly warn: (message: string) => void;
}

/** A pipe without a reader, or a full one, refuses at once instead of holding a thread. */
const FLAGS = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK;
/** For pipes, which cannot be opened for reading as well. */
const PIPE_FLAGS = constants.O_WRONLY | constants.O_NONBLOCK;
/** Readable by its owner only. */
const MODE = 0o600;
/** No line is longer than a part of it. */
const TAIL_BYTES = 65_536;
/** A pipe takes so many bytes whole or not at all (PIPE_BUF of Linux). */
const PIPE_BYTES = 4096;
/** How often the path is compared with the file that is open, milliseconds. */
const LOOK_MS = 1000;
/** Until a full pipe is tried again, milliseconds. */
const PIPE_WAIT_MS = 20;
const LINE_FEED = 0x0a;

/** The file that is written. */
interface OpenFile {
  readonly handle: FileHandle;
  /** Without symbolic links: rotation renames the file, not the link to it. */
  readonly path: string;
  readonly isRegular: boolean;
  readonly ino: number;
  size: number;
  /** When its first line was written, milliseconds since the epoch. */
  readonly since: number;
}

async function openAny(file: string): Promise<FileHandle> {
  const found = await stat(file).catch(() => undefined);
  const isPipe = found !== undefined && !found.isFile();
  return open(file, isPipe ? PIPE_FLAGS : FLAGS, MODE);
}

async function readAt(handle: FileHandle, from: number, bytes: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(bytes), 0, bytes, from);
  return buffer.subarray(0, bytesRead);
}

/** Matches a line that a killed service began; foreign text stays. */
const isTorn = (text: string): boolean =>
  text.startsWith(LINE_START) || LINE_START.startsWith(text);

/** Ends a file with a whole line. @returns its size */
async function endWhole(
  handle: FileHandle,
  tail: Buffer,
  size: number,
  warn: (message: string) => void,
): Promise<number> {
  const torn = tail.subarray(tail.lastIndexOf(LINE_FEED) + 1);
  if (torn.length === 0) return size;
  if (!isTorn(torn.toString())) {
    await handle.write('\n');
    return size + 1;
  }
  warn(`audit: a line that was not written to its end was cut off (${torn.length} bytes)`);
  await handle.truncate(size - torn.length);
  return size - torn.length;
}

/** When a file was begun, by its first line. */
async function beganAt(handle: FileHandle, size: number, now: number): Promise<number> {
  const first = await readAt(handle, 0, Math.min(size, 40));
  const time = Date.parse(/^\{"time":"([^"]+)"/.exec(first.toString('latin1'))?.[1] ?? '');
  return Number.isNaN(time) ? now : time;
}

async function openFile({ file, now, warn }: FileSinkOptions): Promise<[OpenFile, Opened]> {
  const handle = await openAny(file);
  try {
    const found = await handle.stat();
    const isRegular = found.isFile();
    const as = { handle, path: await realpath(file), isRegular, ino: found.ino };
    if (!isRegular) return [{ ...as, size: 0, since: now() }, { lastLines: [] }];
    const from = Math.max(0, found.size - TAIL_BYTES);
    const tail = await readAt(handle, from, found.size - from);
    const size = await endWhole(handle, tail, found.size, warn);
    const whole = tail.subarray(0, tail.lastIndexOf(LINE_FEED) + 1).toString();
    const lastLines = whole.split('\n').slice(0, -1).slice(-2);
    return [{ ...as, size, since: await beganAt(handle, size, now()) }, { lastLines }];
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Where a piece for a pipe ends: as many whole lines as it takes at once. */
function pieceEnd(bytes: Buffer, from: number): number {
  const most = from + PIPE_BYTES;
  if (bytes.length <= most) return bytes.length;
  const whole = bytes.lastIndexOf(LINE_FEED, most - 1) + 1;
  return whole > from ? whole : bytes.indexOf(LINE_FEED, most) + 1;
}

const isFull = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'EAGAIN';

/** @param isOver ends the wait for a pipe whose reader is slow @throws PartialWrite */
async function writeAll(
  { handle, isRegular }: OpenFile,
  bytes: Buffer,
  isOver: () => boolean,
): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    const end = isRegular ? bytes.length : pieceEnd(bytes, written);
    try {
      written += (await handle.write(bytes, written, end - written)).bytesWritten;
    } catch (error) {
      if (!isFull(error) || isOver()) throw new PartialWrite(written, error);
      await sleep(PIPE_WAIT_MS);
    }
  }
}

/** Appends to a file, or to a pipe in the file system, and rotates files. */
class FileSink implements Sink {
  private current: OpenFile | undefined;
  private lookedAt = 0;
  /** The last attempt to rotate failed; the next one is due then. */
  private rotateFrom = 0;
  private isOver = false;

  constructor(private readonly options: FileSinkOptions) {}

  async open(bytes: number): Promise<Opened | undefined> {
    if (this.current !== undefined && !(await this.isInPlace())) await this.release();
    const { current } = this;
    if (current !== undefined && this.isDue(current, bytes)) await this.rotate(current.path);
    if (this.current !== undefined) return undefined;
    const [opened, found] = await openFile(this.options);
    this.current = opened;
    return found;
  }

  /** Is the file that is open still what its path names? */
  private async isInPlace(): Promise<boolean> {
    const { file, now } = this.options;
    if (now() - this.lookedAt < LOOK_MS) return true;
    this.lookedAt = now();
    const found = await stat(file).catch(() => undefined);
    return found?.ino === this.current?.ino;
  }

  private isDue({ isRegular, size, since }: OpenFile, bytes: number): boolean {
    const { rotation, now } = this.options;
    if (!isRegular || size === 0 || bytes === 0 || now() < this.rotateFrom) return false;
    const isLarge = rotation.bytes !== undefined && size + bytes > rotation.bytes;
    return isLarge || (rotation.ms !== undefined && now() - since >= rotation.ms);
  }

  /** Where that is refused, the file is written on: a file too large is better than a lost line. */
  private async rotate(path: string): Promise<void> {
    const { now, warn } = this.options;
    try {
      await rename(path, rotatedName(path, now()));
    } catch (error) {
      this.rotateFrom = now() + 60_000;
      return warn(`audit: the file could not be rotated: ${(error as Error).message}`);
    }
    await this.release();
    await this.prune(path);
  }

  private async prune(path: string): Promise<void> {
    const { rotation, warn } = this.options;
    if (rotation.keep === undefined) return;
    const found = await rotatedFiles(path);
    for (const old of found.slice(0, Math.max(0, found.length - rotation.keep))) {
      await rm(old).catch((error: Error) => warn(`audit: ${old} stays: ${error.message}`));
    }
  }

  lines(): AsyncIterable<FileLine> {
    return this.current === undefined ? noLines() : linesOf(this.current.path);
  }

  async setAside(): Promise<void> {
    const path = this.current?.path ?? this.options.file;
    await rename(path, rotatedName(path, this.options.now()));
    await this.release();
  }

  async append(bytes: Buffer): Promise<void> {
    if (this.current === undefined) throw new PartialWrite(0, new Error('the file is not open'));
    try {
      await writeAll(this.current, bytes, () => this.isOver);
      this.current.size += bytes.length;
    } catch (error) {
      await this.release();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.isOver = true;
    await this.release();
  }

  private async release(): Promise<void> {
    const { current } = this;
    this.current = undefined;
    await current?.handle.sync().catch(() => undefined);
    await current?.handle.close().catch(() => undefined);
  }
}

export const fileSink = (options: FileSinkOptions): Sink => new FileSink(options);
