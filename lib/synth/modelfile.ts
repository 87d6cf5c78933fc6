import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ArtifactFault, ArtifactFormat, FilesBeside } from '../spec/artifactfault';
import { artifactFault } from '../spec/artifactfault';
import type { FileBytes, Steps } from '../spec/filebytes';
import type { Piece } from '../spec/onnxexternal';
import { withExternalData } from '../spec/onnxexternal';
import type { ExternalTensor } from '../spec/onnxfile';
import { onnxFile } from '../spec/onnxfile';
import { ProtoError } from '../spec/protobuf';

// Reads model files of any size for the library, the loader and the service, in slices between
// which the event loop runs.

/** Bytes per read; hashing them takes a millisecond or two. */
const SLICE_BYTES = 1 << 20;
/** Fields per slice; they take a few milliseconds. */
const SLICE_FIELDS = 4096;
/** The limit of protobuf messages, and of ONNX Runtime. */
const MAX_JOINED_BYTES = 2 ** 31 - 1;

export type Turn = () => Promise<unknown>;

/** Runs work in steps, a slice at a time. */
export async function inTurns<T>(steps: Steps<T>, turn: Turn = nextTurn): Promise<T> {
  let cost = 0;
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    cost += step.value;
    if (cost < SLICE_FIELDS) continue;
    cost = 0;
    await turn();
  }
}

/** Opens the file for each read: it may be read over a long time. */
export function fileBytes(path: string): FileBytes {
  return {
    size: statSync(path).size,
    read: (start, length) => {
      const handle = openSync(path, 'r');
      try {
        const piece = Buffer.allocUnsafe(length);
        return piece.subarray(0, readSync(handle, piece, 0, length, start));
      } finally {
        closeSync(handle);
      }
    },
  };
}

/**
 * The files beside a model.
 * @param allowed maps a named path to the path to read, or throws
 */
export const filesBeside =
  (model: string, allowed: (path: string) => string = (path) => path): FilesBeside =>
  (location) => {
    const path = join(dirname(model), location);
    const found = statSync(path, { throwIfNoEntry: false });
    return found?.isFile() === true ? fileBytes(allowed(path)) : undefined;
  };

/** External weights of an ONNX file; none when the file is not ONNX. */
export async function externalIn(path: string): Promise<readonly ExternalTensor[]> {
  try {
    return (await inTurns(onnxFile(fileBytes(path)))).external;
  } catch (error) {
    if (error instanceof ProtoError) return [];
    throw error;
  }
}

function tooLarge(bytes: number): ArtifactFault | undefined {
  if (bytes <= MAX_JOINED_BYTES) return undefined;
  return {
    problem: `has ${bytes} bytes with the weights beside it, and one file of ONNX has at most 2 GiB`,
    fix: 'put the folder into a bucket (s3://bucket/folder/) or on a claim (pvc://claim/folder), or bring it in an image of your own',
  };
}

/** An artifact as one file. */
export interface ModelPieces {
  readonly pieces: readonly Piece[];
  /** Whether weights of other files were put into it. */
  readonly isJoined: boolean;
  /** Reason to doubt that it is a model, where that is not certain. */
  readonly doubt?: ArtifactFault;
}

/** Checks an artifact; returns its pieces, or why it cannot be loaded. */
export async function modelPieces(
  path: string,
  format: ArtifactFormat,
  beside: FilesBeside,
): Promise<ModelPieces | ArtifactFault> {
  const file = fileBytes(path);
  const plain = { pieces: [{ file, start: 0, length: file.size }], isJoined: false };
  const broken = await inTurns(artifactFault(file, format, beside));
  if (broken !== undefined) return broken.unknown === true ? { ...plain, doubt: broken } : broken;
  const { external } = format === 'onnx' ? await inTurns(onnxFile(file)) : { external: [] };
  if (external.length === 0) return plain;
  const files = new Map<string, FileBytes>();
  const weights = ({ location, offset, length }: ExternalTensor): Piece => {
    const found = files.get(location) ?? beside(location);
    if (found === undefined) throw new Error(`${location} is gone`);
    files.set(location, found);
    return { file: found, start: offset, length: length ?? found.size - offset };
  };
  const pieces = await inTurns(withExternalData(file, weights));
  return tooLarge(lengthOf(pieces)) ?? { pieces, isJoined: true };
}

export const lengthOf = (pieces: readonly Piece[]): number =>
  pieces.reduce((sum, { length }) => sum + length, 0);

/** The bytes of pieces, a slice at a time. @throws when a file has become shorter meanwhile */
export async function* streamed(
  pieces: readonly Piece[],
  turn: Turn = nextTurn,
): AsyncGenerator<Uint8Array, void, void> {
  for (const { file, start, length } of pieces) {
    for (let at = 0; at < length; at += SLICE_BYTES) {
      const wanted = Math.min(SLICE_BYTES, length - at);
      const bytes = file.read(start + at, wanted);
      if (bytes.length < wanted) throw new Error('a file became shorter while it was read');
      yield bytes;
      await turn();
    }
  }
}

export async function digestOf(pieces: readonly Piece[]): Promise<string> {
  const hash = createHash('sha256');
  for await (const bytes of streamed(pieces)) hash.update(bytes);
  return hash.digest('hex');
}

/** All bytes of pieces that are small, or that the caller wants in memory. */
export const bytesOf = (pieces: readonly Piece[]): Uint8Array =>
  Buffer.concat(pieces.map(({ file, start, length }) => file.read(start, length)));
