import { createWriteStream } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import type { ReadEntry } from 'tar';
import { extract } from 'tar';
import { open } from 'yauzl';
import type { Entry as ZipEntry, ZipFile } from 'yauzl';
import { freeBytes, sizeText } from './disk';
import { SourceError } from './entry';
import { expectNoLinks, memberName, namesOf, safePath } from './safe-path';

/** A model folder has thousands of files at most; an archive of millions exhausts inodes. */
const MAX_ENTRIES = 100_000;
/**
 * Weights hardly compress; a factor of a hundred is a decompression bomb. Small archives may hold
 * zeros.
 */
const MAX_RATIO = 100;
const MIN_ALLOWANCE = 64 * 1024 * 1024;

/** Bits of the file type in a Unix mode, which zip keeps in the upper half of its attributes. */
const KIND = 0o170000;
const PLAIN_KINDS: ReadonlySet<number> = new Set([0, 0o100000, 0o040000]);
/** Readable for the server, which runs as another user; executable only where it was. */
const READABLE = 0o644;
const EXECUTABLE = 0o755;
const EXECUTE_BITS = 0o111;

export interface UnpackOptions {
  readonly log: (line: string) => void;
  /** Free bytes of a folder's disk. */
  readonly free?: ((folder: string) => Promise<number>) | undefined;
}

type MemberKind = 'file' | 'folder';

/** Checks each member before it is written. @returns its safe name */
type Guard = (path: string, kind: MemberKind, bytes: number) => string | undefined;

const kindOf = (path: string): MemberKind => (path.endsWith('/') ? 'folder' : 'file');

/** An archive must not write outside its folder ("zip slip"), nor one file under two names. */
function memberNames(what: string, folder: string) {
  const names = namesOf({ what, sameTwice: true });
  return (path: string, kind: MemberKind): string | undefined => {
    const name = memberName(path);
    if (name === undefined) return undefined;
    safePath(folder, name);
    names.claim(name, kind);
    return name;
  };
}

/** Bounds the bytes that an archive may write: by free disk space, and by its compression ratio. */
async function guardOf(
  file: string,
  what: string,
  folder: string,
  { free = freeBytes }: UnpackOptions,
): Promise<Guard> {
  const { size } = await stat(file);
  const room = await free(folder);
  const allowed = Math.max(MIN_ALLOWANCE, size * MAX_RATIO);
  const nameOf = memberNames(what, folder);
  let [entries, total] = [0, 0];
  return (path, kind, bytes) => {
    const name = nameOf(path, kind);
    entries += 1;
    total += bytes;
    if (entries > MAX_ENTRIES) {
      throw new SourceError(`the archive holds more than ${MAX_ENTRIES} files; it is refused`);
    }
    if (total > allowed) {
      throw new SourceError(
        `the archive grows from ${sizeText(size)} to more than ${sizeText(allowed)}; it is refused`,
      );
    }
    if (total > room) {
      throw new SourceError(
        `the archive needs more than the ${sizeText(room)} that ${folder} has free; give the node more disk, or name the files unpacked`,
      );
    }
    return name;
  };
}

const openZip = promisify<string, { lazyEntries: true }, ZipFile>(open);

/** Some archivers set no file type. */
const isPlainMember = ({ externalFileAttributes }: ZipEntry): boolean =>
  PLAIN_KINDS.has((externalFileAttributes >>> 16) & KIND);

async function unzip(
  file: string,
  folder: string,
  guard: Guard,
  leaveOut: (path: string) => void,
): Promise<void> {
  const zip = await openZip(file, { lazyEntries: true });
  const read = promisify(zip.openReadStream.bind(zip)) as (
    entry: ZipEntry,
  ) => Promise<NodeJS.ReadableStream>;
  const one = async (entry: ZipEntry): Promise<void> => {
    const { fileName, uncompressedSize } = entry;
    const kind = kindOf(fileName);
    const name = guard(fileName, kind, uncompressedSize);
    if (!isPlainMember(entry)) leaveOut(fileName);
    else if (name !== undefined && kind === 'file') {
      await expectNoLinks(folder, name);
      const target = safePath(folder, name);
      await mkdir(dirname(target), { recursive: true });
      await pipeline(await read(entry), createWriteStream(target, { flush: true }));
    }
    zip.readEntry();
  };
  await new Promise<void>((done, fail) => {
    zip.on('entry', (entry: ZipEntry) => void one(entry).catch(fail));
    zip.on('end', done);
    zip.on('error', fail);
    zip.readEntry();
  }).finally(() => zip.close());
}

/** Types of members of a tar that are extracted; others are left out. */
const FILES: ReadonlySet<string> = new Set(['File', 'OldFile', 'ContiguousFile']);
const FOLDERS: ReadonlySet<string> = new Set(['Directory', 'GNUDumpDir']);

async function untar(
  file: string,
  folder: string,
  guard: Guard,
  leaveOut: (path: string) => void,
): Promise<void> {
  let refusal: unknown;
  const allows = (path: string, { type, size }: ReadEntry): boolean => {
    if (refusal !== undefined) return false;
    try {
      guard(path, FOLDERS.has(type) ? 'folder' : kindOf(path), size);
    } catch (error) {
      // An exception here would be lost between the streams.
      refusal = error;
      return false;
    }
    const wanted = FOLDERS.has(type) || FILES.has(type);
    if (!wanted) leaveOut(path);
    return wanted;
  };
  await extract({
    file,
    cwd: folder,
    strict: true,
    // Owners and rights of the packing machine do not apply here.
    preserveOwner: false,
    filter: (path, entry) => allows(path, entry as ReadEntry),
    onReadEntry: (entry) => {
      const { mode = 0, type } = entry;
      const runs = type === 'Directory' || (mode & EXECUTE_BITS) !== 0;
      entry.mode = runs ? EXECUTABLE : READABLE;
    },
  });
  if (refusal !== undefined) throw refusal;
}

/**
 * Unpacks a tar (also with gzip) or a zip into a folder. Links and devices are left out.
 * @throws SourceError for an archive that would write outside the folder, or too much
 */
export async function unpack(
  file: string,
  name: string,
  folder: string,
  options: UnpackOptions,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const guard = await guardOf(file, name, folder, options);
  const leaveOut = (path: string): void =>
    options.log(`${name}: ${path} is not a regular file; left out`);
  return (/\.zip$/i.test(name) ? unzip : untar)(file, folder, guard, leaveOut);
}
