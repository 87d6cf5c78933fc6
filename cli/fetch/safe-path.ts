import { lstat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { SourceError } from './entry';

// The only place where a name from outside becomes a path: names of layers, objects, files of a
// repository, members of archives, the last segment of a URI. All adapters and both unpackers use
// it. A name is decoded before it is split, and never after.

/** Bytes of one segment on ext4, xfs, NTFS and APFS. */
const MAX_SEGMENT_BYTES = 255;
/** Bytes of a whole name: PATH_MAX is 4096, and the folders of the pod and of caches precede it. */
const MAX_NAME_BYTES = 1024;

/** Prefix of the loader's own files in the target folder. */
export const OWN_PREFIX = '.artifact';

/** Suffix of a file until it is complete. */
export const PART = '.part';
export const PART_TAG = '.part.tag';

/** Devices of Windows, with any extension; a Windows machine may share the folder. */
const DEVICE = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?$/i;
// oxlint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f]/;

function refuse(name: string, why: string): never {
  const text = JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name);
  throw new SourceError(
    `the artifact names a file ${text} (${why}), which may lie outside its folder; it is refused: push it with plain relative names`,
  );
}

function segmentFault(segment: string): string | undefined {
  if (segment === '') return 'an empty segment';
  if (segment === '.' || segment === '..') return 'a segment of dots';
  if (/[. ]$/.test(segment)) return 'a segment that ends with a dot or a blank';
  if (DEVICE.test(segment)) return 'the name of a device';
  const bytes = Buffer.byteLength(segment);
  return bytes > MAX_SEGMENT_BYTES ? `a segment of ${bytes} bytes` : undefined;
}

function nameFault(name: string): string | undefined {
  if (CONTROL.test(name)) return 'a control character';
  if (name.includes('\\')) return 'a backslash';
  if (/^[A-Za-z]:/.test(name)) return 'a drive';
  if (name.startsWith('/')) return 'an absolute path';
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) return `more than ${MAX_NAME_BYTES} bytes`;
  return undefined;
}

/**
 * The segments of a name from outside, as given: nothing is decoded and nothing resolved.
 * @throws SourceError unless every segment is the plain name of a file or folder
 */
export function segmentsOf(name: string): readonly string[] {
  const segments = name.split('/');
  const why = nameFault(name) ?? segments.map(segmentFault).find((fault) => fault !== undefined);
  if (why !== undefined) refuse(name, why);
  if (segments[0]?.toLowerCase().startsWith(OWN_PREFIX) === true) {
    refuse(name, `${OWN_PREFIX}… is reserved for the loader`);
  }
  return segments;
}

/** A name from outside as a path below a folder. @throws SourceError, see `segmentsOf` */
export function safePath(folder: string, name: string): string {
  return join(resolve(folder), ...segmentsOf(name));
}

/** A member of a tar or zip: archivers write `a` as `./a` or `a/`. Undefined: the folder itself. */
export function memberName(path: string): string | undefined {
  const name = path.replace(/^(?:\.\/+)+/, '').replace(/\/$/, '');
  return name === '' || name === '.' ? undefined : name;
}

/** @throws SourceError for invalid percent-encoding (RFC 3986, 2.1) */
export function decodedUri(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new SourceError(
      `${text}: has a % that does not begin an escape; write %25 for a percent sign`,
    );
  }
}

/** The path in a URI after its host or bucket, without query and fragment: decoded, then split. */
export function pathInUri(uri: string): string {
  const path = uri.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*\/?/i, '').replace(/[?#].*$/s, '');
  return decodedUri(path);
}

/** The last segment of a name or decoded path. */
export function lastSegment(path: string): string {
  return path.replace(/\/+$/, '').split('/').at(-1) ?? '';
}

/**
 * The form in which names are compared: file systems that ignore case often ignore the form of
 * Unicode too.
 */
const foldedName = (name: string): string => name.normalize('NFC').toLowerCase();

/** The used names of one artifact, so that no two of them are the same file. */
export interface Names {
  /**
   * @throws SourceError when another name is the same file on some system, or a file is a folder
   */
  readonly claim: (name: string, kind?: 'file' | 'folder') => void;
}

export interface NamesOptions {
  /** The owner of the names, for messages. */
  readonly what: string;
  /** An archive may hold a name twice: the last one counts. */
  readonly sameTwice: boolean;
}

/** The folders of a name, the outermost first. */
function foldersOf(name: string): readonly string[] {
  const segments = name.split('/');
  return segments.slice(1).map((_, index) => segments.slice(0, index + 1).join('/'));
}

export function namesOf({ what, sameTwice }: NamesOptions): Names {
  const taken = new Map<string, string>();
  /** Folder -> the first name in it. */
  const folders = new Map<string, string>();
  const take = (key: string, name: string): void => {
    const other = taken.get(key);
    if (other !== undefined && !(sameTwice && other === name)) {
      refuse(name, other === name ? 'named twice' : `the same file as ${JSON.stringify(other)}`);
    }
    const inner = folders.get(key);
    if (inner !== undefined) refuseFolder(what, name, inner);
    taken.set(key, name);
  };
  const enter = (folder: string, name: string): void => {
    const file = taken.get(folder);
    if (file !== undefined) refuseFolder(what, file, name);
    if (!folders.has(folder)) folders.set(folder, name);
  };
  return {
    claim: (name, kind = 'file') => {
      const key = foldedName(name);
      for (const folder of foldersOf(key)) enter(folder, name);
      if (kind === 'folder') return enter(key, `${name}/`);
      take(key, name);
      for (const ending of [PART, PART_TAG]) {
        const half = taken.get(`${key}${ending}`) ?? endingWith(taken, key, ending);
        if (half !== undefined) refuse(name, `the unfinished half of ${JSON.stringify(half)}`);
      }
    },
  };
}

function refuseFolder(what: string, file: string, inner: string): never {
  throw new SourceError(
    `${what}: ${JSON.stringify(file)} is a file, and ${JSON.stringify(inner)} needs a folder of that name; a name is either a file or a folder: rename one of the two, and pack or push them again`,
  );
}

function endingWith(taken: ReadonlyMap<string, string>, key: string, ending: string) {
  return key.endsWith(ending) ? taken.get(key.slice(0, -ending.length)) : undefined;
}

/**
 * A link below the folder could lead a write out of it. Artifacts contain none; an existing one was
 * not made by this run.
 * @throws SourceError when a segment on the way, or the file itself, is a link
 */
export async function expectNoLinks(folder: string, name: string): Promise<void> {
  let path = resolve(folder);
  for (const segment of segmentsOf(name)) {
    path = join(path, segment);
    const found = await lstat(path).catch(() => undefined);
    if (found === undefined) return;
    if (found.isSymbolicLink()) {
      throw new SourceError(
        `${path} is a link, and the loader does not write through links; remove it`,
      );
    }
  }
}
