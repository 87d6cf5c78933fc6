import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { extensionOf, isArchive, tritonBackend } from '../objects/layout';
import type { Arm, FileContent, ModelSpec } from '../spec';
import { MAX_FILE_BYTES } from '../spec';
import type { ArtifactFault, ArtifactFormat, FilesBeside } from '../spec/artifactfault';
import { entryOf } from '../spec/entry';
import type { Piece } from '../spec/onnxexternal';
import {
  bytesOf,
  digestOf,
  fileBytes,
  filesBeside,
  lengthOf,
  modelPieces,
  streamed,
} from './modelfile';

const ARCHIVES: readonly (readonly [RegExp, ArtifactFormat])[] = [
  [/\.zip$/i, 'zip'],
  [/\.tar$/i, 'tar'],
  [/gz$/i, 'gzip'],
];
const EXTENSIONS: Readonly<Record<string, ArtifactFormat>> = {
  '.onnx': 'onnx',
  '.joblib': 'pickle',
  '.pkl': 'pickle',
  '.pickle': 'pickle',
  '.ubj': 'xgboost',
  '.safetensors': 'safetensors',
  '.gguf': 'gguf',
  '.h5': 'hdf5',
  '.keras': 'zip',
};

/** Format that the server of an arm loads a file as; `any` where that is not known. */
export function formatOf(spec: ModelSpec, { server }: Arm, path: string): ArtifactFormat {
  if (isArchive(path)) return ARCHIVES.find(([end]) => end.test(path))?.[1] ?? 'any';
  if (server.kind === 'onnx') return 'onnx';
  const extension = extensionOf(path) ?? '';
  if (server.kind === 'triton') {
    const backend = tritonBackend(spec, server);
    if (backend === 'onnxruntime') return 'onnx';
    if (backend === 'pytorch' && extension !== '.py') return 'torchscript';
  }
  if (spec.framework === 'xgboost' && extension === '.json') return 'xgboost';
  return entryOf(EXTENSIONS, extension) ?? 'any';
}

/**
 * Small files are read at once; large ones (they run locally, but do not fit in a ConfigMap) in
 * pieces.
 */
async function contentOf(path: string, pieces: readonly Piece[]): Promise<FileContent> {
  const shared = { name: basename(path), sha256: await digestOf(pieces), size: lengthOf(pieces) };
  if (shared.size <= MAX_FILE_BYTES) return { ...shared, bytes: bytesOf(pieces) };
  return {
    ...shared,
    get bytes(): Uint8Array {
      return bytesOf(pieces);
    },
    pieces: () => streamed(pieces),
  };
}

/** A path without a file. */
export interface NoFile {
  readonly allowed: string;
}

export type ReadArtifact = { readonly content: FileContent } | ArtifactFault | NoFile;

/** Reads an artifact of the format that the server loads. */
export async function readArtifact(
  path: string,
  format: ArtifactFormat,
  beside: FilesBeside = filesBeside(path),
): Promise<ReadArtifact> {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return { allowed: 'the path of a file that exists' };
  if (!found.isFile()) return { allowed: 'a file (pack a folder into one)' };
  const read = await modelPieces(path, format, beside);
  if ('problem' in read) return read;
  const { pieces, isJoined, doubt } = read;
  const content = await contentOf(path, pieces);
  const file = fileBytes(path);
  const own = isJoined && { fileSha256: await digestOf([{ file, start: 0, length: file.size }]) };
  return { content: Object.assign(content, own, doubt && { doubt }) };
}
