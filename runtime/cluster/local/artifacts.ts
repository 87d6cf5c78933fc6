import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { syncFolder } from './files';

/** Files are copied in pieces: a model may not fit into memory. */
const PIECE_BYTES = 1 << 20;
/** Prefix of files that are being written. */
const UNFINISHED = '.next-';

/** Bytes of models under their SHA-256, in one folder. */
export interface ArtifactFolder {
  /** Path of the bytes of this digest, which may be missing. */
  readonly pathOf: (digest: string) => string;
  /** Stores bytes, holds them until `release` and returns their digest. */
  readonly keepPieces: (
    pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  ) => Promise<string>;
  /** The same for a copy of a file. */
  readonly keepFile: (path: string) => Promise<string>;
  /** True when the bytes exist and match their digest; holds them until `release`. */
  readonly hold: (digest: string) => Promise<boolean>;
  /** Result of the last `hold`; false before the first. */
  readonly isIntact: (digest: string) => boolean;
  /** Releases what one change held. */
  readonly release: (digests: Iterable<string>) => void;
  /** Removes artifacts that are neither wanted nor held. */
  readonly sweep: (wanted: ReadonlySet<string>) => void;
}

async function* piecesOf(handle: FileHandle): AsyncGenerator<Uint8Array> {
  const piece = Buffer.allocUnsafe(PIECE_BYTES);
  for (;;) {
    const { bytesRead } = await handle.read(piece, 0, PIECE_BYTES);
    if (bytesRead === 0) return;
    yield piece.subarray(0, bytesRead);
  }
}

async function piecesWith<T>(path: string, use: (handle: FileHandle) => Promise<T>): Promise<T> {
  const handle = await open(path, 'r');
  try {
    return await use(handle);
  } finally {
    await handle.close();
  }
}

async function digestOf(path: string): Promise<string> {
  return piecesWith(path, async (handle) => {
    const hash = createHash('sha256');
    for await (const piece of piecesOf(handle)) hash.update(piece);
    return hash.digest('hex');
  });
}

/** Identifies the state of a file, to detect later changes. */
async function stampOf(path: string): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found === undefined ? undefined : `${found.ino} ${found.size} ${found.mtimeMs}`;
}

class Folder implements ArtifactFolder {
  /** Digest → stamp of the file when it last matched its digest. */
  private readonly well = new Map<string, string>();
  /** Digest → how many changes under way need it. */
  private readonly held = new Map<string, number>();
  private count = 0;

  constructor(private readonly folder: string) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(folder)) {
      if (name.startsWith(UNFINISHED)) rmSync(join(folder, name), { force: true });
    }
  }

  readonly pathOf = (digest: string): string => join(this.folder, `${digest}.onnx`);

  readonly keepFile = (path: string): Promise<string> =>
    piecesWith(path, (handle) => this.keepPieces(piecesOf(handle)));

  readonly hold = async (digest: string): Promise<boolean> => {
    const path = this.pathOf(digest);
    const stamp = await stampOf(path);
    if (stamp === undefined) this.well.delete(digest);
    else if (this.well.get(digest) !== stamp) {
      if ((await digestOf(path)) === digest) this.well.set(digest, stamp);
      else this.well.delete(digest);
    }
    const well = this.well.has(digest);
    if (well) this.take(digest);
    return well;
  };

  readonly isIntact = (digest: string): boolean => this.well.has(digest);

  readonly release = (digests: Iterable<string>): void => {
    for (const digest of digests) {
      const count = this.held.get(digest) ?? 0;
      if (count > 1) this.held.set(digest, count - 1);
      else this.held.delete(digest);
    }
  };

  readonly sweep = (wanted: ReadonlySet<string>): void => {
    for (const name of readdirSync(this.folder)) {
      const digest = name.replace(/\.onnx$/, '');
      if (name.startsWith(UNFINISHED) || wanted.has(digest) || this.held.has(digest)) continue;
      rmSync(join(this.folder, name), { force: true });
      this.well.delete(digest);
    }
  };

  private take(digest: string): void {
    this.held.set(digest, (this.held.get(digest) ?? 0) + 1);
  }

  readonly keepPieces: ArtifactFolder['keepPieces'] = async (pieces) => {
    const next = join(this.folder, `${UNFINISHED}${(this.count += 1)}`);
    try {
      const digest = await writePieces(next, pieces);
      this.take(digest);
      await rename(next, this.pathOf(digest));
      syncFolder(this.folder);
      this.well.set(digest, (await stampOf(this.pathOf(digest))) ?? '');
      return digest;
    } catch (error) {
      await rm(next, { force: true });
      throw error;
    }
  };
}

async function writePieces(
  path: string,
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<string> {
  const hash = createHash('sha256');
  const handle = await open(path, 'w', 0o600);
  try {
    for await (const piece of pieces) {
      hash.update(piece);
      await handle.writeFile(piece);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  return hash.digest('hex');
}

export function openArtifacts(folder: string): ArtifactFolder {
  return new Folder(folder);
}
