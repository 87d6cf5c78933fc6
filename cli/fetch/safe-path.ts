import { lstat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { SourceError } from './entry';

// The one place where a name from outside becomes a path: names of layers, objects, files of a
// repository, members of archives, the last segment of a URI. All adapters and both unpackers pass
// here. A name is decoded before it is split, and never after.

/** Bytes of one segment on ext4, xfs, NTFS and APFS. */
const MAX_SEGMENT_BYTES = 255;
/** Bytes of a whole name: PATH_MAX is 4096, and folders of the pod and of caches come before it. */
const MAX_NAME_BYTES = 1024;

/** Files that the loader keeps for itself in the target folder. */
export const OWN_PREFIX = '.artifact';

/** What `download` writes beside a file until it is complete. */
export const PART = '.part';
export const PART_TAG = '.part.tag';

/** Devices of Windows, with any extension; the folder may be shared with one. */
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
 * The segments of a name from outside, as it stands: nothing is decoded and nothing resolved.
 * @throws SourceError unless every segment is the plain name of a file or folder
 */
export function segmentsOf(name: string): readonly string[] {
  const segments = name.split('/');
  const why = nameFault(name) ?? segments.map(segmentFault).find((fault) => fault !== undefined);
  if (why !== undefined) refuse(name, why);
  if (segments[0]?.toLowerCase().startsWith(OWN_PREFIX) === true) {
    refuse(name, `${OWN_PREFIX}… is what the loader keeps for itself`);
  }
  return segments;
}

/** A name from outside as a path below a folder. @throws SourceError, see `segmentsOf` */
export function safePath(folder: string, name: string): string {
  return join(resolve(folder), ...segmentsOf(name));
}

/** A member of a tar or zip: `./a` and `a/` are how archivers write `a`. Undefined: the folder itself. */
export function memberName(path: string): string | undefined {
  const name = path.replace(/^(?:\.\/+)+/, '').replace(/\/$/, '');
  return name === '' || name === '.' ? undefined : name;
}

/** @throws SourceError for what is not percent-encoded as a URI is (RFC 3986, 2.1) */
export function decodedUri(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new SourceError(`${text}: has a % that begins no escape; write %25 for a percent sign`);
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

/** How names are compared: file systems that keep no case often keep no form of Unicode either. */
const foldedName = (name: string): string => name.normalize('NFC').toLowerCase();

/** Names of one artifact: which are taken, so that no two of them are one file. */
export interface Names {
  /** @throws SourceError when another name means the same file somewhere, or a file is a folder */
  readonly claim: (name: string, kind?: 'file' | 'folder') => void;
}

export interface NamesOptions {
  /** Whose names they are, for messages. */
  readonly what: string;
  /** An archive may hold a name twice: the last one counts. */
  readonly sameTwice: boolean;
}

/** The folders that a name stands in, the outermost first. */
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
 * A link below the folder would lead a write out of it. None comes from an artifact; one that lies
 * there already was not made by this fetch.
 * @throws SourceError when a segment on the way, or the file itself, is a link
 */
export async function expectNoLinks(folder: string, name: string): Promise<void> {
  let path = resolve(folder);
  for (const segment of segmentsOf(name)) {
    path = join(path, segment);
    const found = await lstat(path).catch(() => undefined);
    if (found === undefined) return;
    if (found.isSymbolicLink()) {
      throw new SourceError(`${path} is a link, which is not written through; remove it`);
    }
  }
}
