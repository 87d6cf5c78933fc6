import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { extensionOf, isArchive, tritonBackend } from '../objects/layout';
import type { Arm, FileContent, ModelSpec } from '../spec';
import { MAX_FILE_BYTES } from '../spec';
import type { ArtifactFault, ArtifactFormat, FilesBeside } from '../spec/artifactfault';
import { artifactFault } from '../spec/artifactfault';
import type { FileBytes } from '../spec/filebytes';
import { withExternalData } from '../spec/onnxexternal';
import type { ExternalTensor } from '../spec/onnxfile';
import { onnxFile } from '../spec/onnxfile';
import { entryOf } from '../spec/entry';

const PIECE_BYTES = 1 << 20;
/** A model and its weights are joined in one step, in memory; more would take seconds. */
const MAX_JOINED_BYTES = 256 * 1024 * 1024;

/** Uses a file while it is open. */
function withFile<T>(path: string, use: (file: FileBytes) => T): T {
  const handle = openSync(path, 'r');
  try {
    const read = (start: number, length: number): Uint8Array => {
      const piece = Buffer.alloc(length);
      return piece.subarray(0, readSync(handle, piece, 0, length, start));
    };
    return use({ size: fstatSync(handle).size, read });
  } finally {
    closeSync(handle);
  }
}

/** The digest of a file of any size, read in pieces. */
function digestOf(path: string): string {
  const hash = createHash('sha256');
  withFile(path, ({ size, read }) => {
    for (let at = 0; at < size; at += PIECE_BYTES) hash.update(read(at, PIECE_BYTES));
  });
  return hash.digest('hex');
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

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

/** What the server of an arm will load a file as; `any` where that cannot be known. */
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

const besideOf =
  (path: string): FilesBeside =>
  (location) => {
    const file = join(dirname(path), location);
    const found = statSync(file, { throwIfNoEntry: false });
    if (found?.isFile() !== true) return undefined;
    return {
      size: found.size,
      read: (start, length) => withFile(file, ({ read }) => read(start, length)),
    };
  };

function weightsFrom(path: string): (tensor: ExternalTensor) => Uint8Array {
  return ({ location, offset, length }) =>
    withFile(join(dirname(path), location), ({ size, read }) =>
      read(offset, length ?? size - offset),
    );
}

/** A model whose weights stand in other files, as one file that can travel. */
function oneFile(path: string): FileContent {
  const bytes = (): Uint8Array => withExternalData(readFileSync(path), weightsFrom(path));
  const whole = bytes();
  const shared = {
    name: basename(path),
    sha256: sha256(whole),
    size: whole.length,
    fileSha256: digestOf(path),
  };
  if (whole.length <= MAX_FILE_BYTES) return { ...shared, bytes: whole };
  return {
    ...shared,
    get bytes(): Uint8Array {
      return bytes();
    },
  };
}

/** Small files are read at once; large ones (they run locally, but cannot travel) only when asked for. */
function plainContent(path: string, size: number): FileContent {
  const name = basename(path);
  if (size > MAX_FILE_BYTES) {
    return {
      name,
      sha256: digestOf(path),
      size,
      get bytes(): Uint8Array {
        return readFileSync(path);
      },
    };
  }
  const bytes = readFileSync(path);
  return { name, bytes, sha256: sha256(bytes) };
}

function contentOf(path: string, size: number, format: ArtifactFormat): FileContent {
  const external = format === 'onnx' ? withFile(path, onnxFile).external : [];
  return external.length === 0 ? plainContent(path, size) : oneFile(path);
}

function sizeFault(path: string, file: FileBytes): ArtifactFault | undefined {
  const { external } = onnxFile(file);
  const locations = new Set(external.map(({ location }) => location));
  const beside = besideOf(path);
  const all = [...locations].reduce((sum, one) => sum + (beside(one)?.size ?? 0), file.size);
  if (external.length === 0 || all <= MAX_JOINED_BYTES) return undefined;
  return {
    problem: `has ${all} bytes with the weights beside it, and up to 256 MiB are joined into one file`,
    fix: 'save it in one file (onnx.save_model), put the folder into a bucket (s3://bucket/folder/) or on a claim (pvc://claim/folder), or bring it in an image of your own',
  };
}

/** A path that leads to no file. */
export interface NoFile {
  readonly allowed: string;
}

export type ReadArtifact = { readonly content: FileContent } | ArtifactFault | NoFile;

/** Reads an artifact, when it is what the server will load. */
export function readArtifact(path: string, format: ArtifactFormat): ReadArtifact {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return { allowed: 'the path of a file that exists' };
  if (!found.isFile()) return { allowed: 'a file (pack a folder into one)' };
  const broken = withFile(
    path,
    (file) =>
      artifactFault(file, format, besideOf(path)) ??
      (format === 'onnx' ? sizeFault(path, file) : undefined),
  );
  if (broken === undefined) return { content: contentOf(path, found.size, format) };
  if (broken.unknown !== true) return broken;
  return { content: Object.assign(plainContent(path, found.size), { doubt: broken }) };
}
