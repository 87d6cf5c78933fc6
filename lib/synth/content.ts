import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import type { Fault, FileContent, ModelSpec } from '../spec';
import { armPath, fault, filePathOf, MAX_FILE_BYTES, withFiles } from '../spec';

const PIECE_BYTES = 1 << 20;

/** The digest of a file of any size, read in pieces. */
function digestOf(path: string): string {
  const hash = createHash('sha256');
  const piece = Buffer.allocUnsafe(PIECE_BYTES);
  const file = openSync(path, 'r');
  try {
    for (let size = 0; (size = readSync(file, piece)) > 0;) hash.update(piece.subarray(0, size));
  } finally {
    closeSync(file);
  }
  return hash.digest('hex');
}

/** Small files are read at once; large ones (they run locally, but cannot travel) only when asked for. */
function contentOf(path: string, size: number): FileContent {
  const name = basename(path);
  if (size > MAX_FILE_BYTES) {
    return {
      name,
      sha256: digestOf(path),
      get bytes(): Uint8Array {
        return readFileSync(path);
      },
    };
  }
  const bytes = readFileSync(path);
  return { name, bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
}

type Read = { readonly content: FileContent } | { readonly problem: string };

function read(path: string): Read {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return { problem: 'the path of a file that exists' };
  if (!found.isFile()) return { problem: 'a file (pack a folder into one)' };
  return { content: contentOf(path, found.size) };
}

interface Filled {
  readonly spec: ModelSpec;
  readonly faults: readonly Fault[];
}

/**
 * Reads the `file` sources of a definition, relative to the file it stands in. A digest that the
 * definition states is checked.
 */
export function readSources(spec: ModelSpec, file: string): Filled {
  const reads = new Map<string, Read>();
  const faults: Fault[] = [];
  for (const arm of spec.arms) {
    const { source } = arm;
    if (source?.scheme !== 'file') continue;
    const known = reads.get(source.uri);
    const given = known ?? read(resolve(dirname(file), filePathOf(source.uri)));
    reads.set(source.uri, given);
    const path = armPath(spec, arm, 'source');
    // A candidate that inherits its source repeats the fault of stable.
    const inherited = arm.name !== spec.arms[0].name && source === spec.source;
    if (inherited) continue;
    if ('problem' in given) faults.push(fault(path, source.uri, given.problem, 'correct the path'));
    else if (source.sha256 !== undefined && source.sha256 !== given.content.sha256) {
      faults.push(
        fault(
          `${path}.sha256`,
          source.sha256,
          `the digest of ${source.uri}, ${given.content.sha256}`,
          'find out which of the two is wrong',
        ),
      );
    }
  }
  if (faults.length > 0) return { spec, faults };
  const content = (uri: string): FileContent => {
    const given = reads.get(uri);
    if (given === undefined || 'problem' in given) throw new Error(`${uri} was not read`);
    return given.content;
  };
  return { spec: withFiles(spec, content), faults };
}
