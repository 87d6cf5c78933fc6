import type { FileBytes, Steps } from './filebytes';
import type { ExternalTensor, OnnxFile } from './onnxfile';
import { MAX_EXTERNAL_TENSORS, MAX_ONNX_IR, MAX_ONNX_OPSET, onnxFile } from './onnxfile';
import { ProtoError } from './protobuf';

/** A fault of a file, as the rest of a sentence that begins with its name; and the remedy. */
export interface ArtifactFault {
  readonly problem: string;
  readonly fix: string;
  /** The format of the bytes is not known here; the model server may know it. */
  readonly unknown?: boolean;
}

/** Format that the server loads a file as. */
export type ArtifactFormat =
  | 'onnx'
  | 'pickle'
  | 'xgboost'
  | 'torchscript'
  | 'safetensors'
  | 'gguf'
  | 'hdf5'
  | 'zip'
  | 'gzip'
  | 'tar'
  | 'any';

const HEAD_BYTES = 1024;

/**
 * Bytes as characters of the same number, for patterns. (`latin1` of TextDecoder is windows-1252.)
 */
function binaryText(bytes: Uint8Array): string {
  const pieces: string[] = [];
  for (let start = 0; start < bytes.length; start += HEAD_BYTES) {
    pieces.push(String.fromCharCode(...bytes.subarray(start, start + HEAD_BYTES)));
  }
  return pieces.join('');
}

const TEXT = 'plain text';

const isText = (head: Uint8Array): boolean =>
  head.every((byte) => byte >= 0x20 || byte === 9 || byte === 10 || byte === 13);

// Patterns over bytes, which are mostly not letters.
/* oxlint-disable no-control-regex */

/** First bytes of known formats. The first match counts. */
const MAGIC: readonly (readonly [string, RegExp])[] = [
  ['a zip archive (PyTorch and Keras write those)', /^PK\x03\x04/],
  ['a Python pickle', /^\x80[\x02-\x05]/],
  ['an HDF5 file (Keras)', /^\x89HDF\r\n/],
  ['a gzip archive', /^\x1f\x8b/],
  ['a bzip2 archive', /^BZh[1-9]/],
  ['an xz archive', /^\xfd7zXZ\x00/],
  ['a GGUF file (llama.cpp)', /^GGUF/],
  ['a NumPy array', /^\x93NUMPY/],
  ['a TensorFlow Lite model', /^[^]{4}TFL3/],
  ['a TensorRT engine', /^(?:ftrt|trtf)/],
  ['a tar archive', /^[^]{257}ustar/],
  ['a safetensors file', /^[^]{6}\x00\x00\{/],
  ['a web page', /^\s*<(?:!doctype html|html)/i],
  ['an XML document', /^\s*<\?xml/],
  ['JSON text', /^\s*[{[]\s*["\]}{[0-9]/],
];

/** The kind of a file, by its first bytes. */
function kindOf(head: Uint8Array): string | undefined {
  const text = binaryText(head);
  const known = MAGIC.find(([, pattern]) => pattern.test(text));
  return known?.[0] ?? (head.length > 0 && isText(head) ? TEXT : undefined);
}

const LFS_POINTER = /^version https:\/\/git-lfs\.github\.com\//;
const AGAIN = 'export or copy it again';

function emptyOrPointer(head: Uint8Array, size: number): ArtifactFault | undefined {
  if (size === 0) return { problem: 'is empty', fix: AGAIN };
  if (!LFS_POINTER.test(binaryText(head))) return undefined;
  return {
    problem: 'is a pointer of Git LFS, not the model itself',
    fix: 'run git lfs install and git lfs pull',
  };
}

/** How to export a model from each framework. */
const EXPORT: Readonly<Partial<Record<ArtifactFormat, string>>> = {
  onnx: 'export the model to ONNX (skl2onnx, torch.onnx.export, tf2onnx), or name the framework that made this file',
  pickle: 'write it with joblib.dump or pickle.dump, or name the framework that made this file',
  xgboost: 'write it with Booster.save_model, or name the framework that made this file',
  torchscript: 'write TorchScript (torch.jit.script, then save), which Triton loads',
};

const NAMES: Readonly<Record<ArtifactFormat, string>> = {
  onnx: 'an ONNX model',
  pickle: 'a Python pickle',
  xgboost: 'an XGBoost model',
  torchscript: 'TorchScript',
  safetensors: 'a safetensors file',
  gguf: 'a GGUF file',
  hdf5: 'an HDF5 file',
  zip: 'a zip archive',
  gzip: 'a gzip archive',
  tar: 'a tar archive',
  any: 'a model',
};

function notA(format: ArtifactFormat, head: Uint8Array): ArtifactFault {
  const kind = kindOf(head);
  const seems = kind === undefined ? 'is' : `is ${kind},`;
  const unknown = kind === undefined || kind === TEXT;
  return { problem: `${seems} not ${NAMES[format]}`, fix: EXPORT[format] ?? AGAIN, unknown };
}

const cutOff = (detail: string): ArtifactFault => ({
  problem: `is cut off (${detail})`,
  fix: `${AGAIN}, and compare its size with the original`,
});

/** Beginnings that a format has. */
const STARTS: Readonly<Partial<Record<ArtifactFormat, RegExp>>> = {
  // joblib compresses by zlib, gzip, bz2, xz, lzma or lz4; skops writes a zip.
  pickle:
    /^(?:\x80[\x02-\x05]|\x78[\x01\x5e\x9c\xda]|\x1f\x8b|BZh|\xfd7zXZ|\x5d\x00\x00|\x04"M\x18|PK\x03\x04|[(\]}cg])/,
  // JSON and UBJSON.
  xgboost: /^\s*\{/,
  torchscript: /^PK\x03\x04/,
  safetensors: /^[^]{6}\x00\x00\{/,
  gguf: /^GGUF/,
  hdf5: /^\x89HDF\r\n/,
  zip: /^PK(?:\x03\x04|\x05\x06)/,
  gzip: /^\x1f\x8b/,
  tar: /^(?:[^]{257}ustar|[^\0]{1,99}\0)/,
};

/** The directory of a zip is at its end, before a comment of at most 64 KiB. */
const ZIP_END = 'PK\x05\x06';
const ZIP_END_BYTES = 65_557;

function tailFault(format: ArtifactFormat, file: FileBytes): ArtifactFault | undefined {
  const start = Math.max(0, file.size - ZIP_END_BYTES);
  const tail = (): string => binaryText(file.read(start, ZIP_END_BYTES));
  if ((format === 'zip' || format === 'torchscript') && !tail().includes(ZIP_END)) {
    return cutOff('the directory at the end of the archive is missing');
  }
  if (format === 'tar' && file.size % 512 !== 0) {
    return cutOff(`${file.size} bytes are not a whole number of blocks`);
  }
  if (format === 'safetensors') return safetensorsFault(file);
  const isJson = format === 'xgboost' && /^\s*\{\s*"/.test(binaryText(file.read(0, 64)));
  return isJson && !/\}\s*$/.test(tail()) ? cutOff('the last brace is missing') : undefined;
}

/** The head gives the length: 8 bytes, then JSON with the places of all tensors. */
function safetensorsFault(file: FileBytes): ArtifactFault | undefined {
  const view = file.read(0, 8);
  const head = view.reduceRight((sum, byte) => sum * 256 + byte, 0);
  return head + 8 > file.size ? cutOff('its own head says that it is longer') : undefined;
}

/** Files beside the model; undefined when one is missing. */
export type FilesBeside = (location: string) => FileBytes | undefined;

/** A path inside the folder of the model: ONNX Runtime refuses others, and so do we. */
function isInside(location: string): boolean {
  const parts = location.split(/[/\\]/);
  return location !== '' && !/^(?:[/\\]|[a-z]:)/i.test(location) && !parts.includes('..');
}

/** Cost of opening another file, counted in fields. */
const LOOK_COST = 100;

/** Faults of the external weights of a model; each file is read once. */
function* externalFaults(
  external: readonly ExternalTensor[],
  beside: FilesBeside,
): Steps<ArtifactFault | undefined> {
  if (external.length > MAX_EXTERNAL_TENSORS) {
    return {
      problem: `has more than ${MAX_EXTERNAL_TENSORS} tensors in other files`,
      fix: 'save it in one file (onnx.save_model)',
    };
  }
  const sizes = new Map<string, number>();
  for (const tensor of external) {
    const { location } = tensor;
    yield sizes.has(location) ? 1 : LOOK_COST;
    const size = sizes.get(location) ?? sizeOf(tensor, beside);
    if (typeof size !== 'number') return size;
    sizes.set(location, size);
    const fault = cutWeights(tensor, size);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** The size of the file with a tensor, or the fault of that file. */
function sizeOf({ location, name }: ExternalTensor, beside: FilesBeside): number | ArtifactFault {
  if (!isInside(location)) {
    return {
      problem: `has weights (${name}) in ${JSON.stringify(location)}, outside its folder`,
      fix: 'save it with the weights beside it (onnx.save_model, location="model.onnx.data")',
    };
  }
  const file = beside(location);
  if (file === undefined) {
    return {
      problem: `has its weights in ${location}, which is not there`,
      fix: 'put that file beside it, or save the model in one file (onnx.save_model)',
    };
  }
  const own = emptyOrPointer(file.read(0, HEAD_BYTES), file.size);
  if (own === undefined) return file.size;
  return { problem: `has its weights in ${location}, which ${own.problem}`, fix: own.fix };
}

function cutWeights(
  { location, offset, length, name }: ExternalTensor,
  size: number,
): ArtifactFault | undefined {
  const needed = offset + (length ?? 0);
  const isPlace = Number.isSafeInteger(needed) && Math.min(offset, length ?? 0) >= 0;
  if (isPlace && needed <= size) return undefined;
  return {
    problem: `has its weights in ${location}, which is cut off (${size} bytes, ${name} ends at ${needed})`,
    fix: `${AGAIN}; both files belong to one export`,
  };
}

function versionFault({ irVersion, opset }: OnnxFile): ArtifactFault | undefined {
  const older = `save it for an older version (onnx.version_converter), or use an image with a newer ONNX Runtime`;
  if (opset === undefined) {
    return { problem: 'names no operator set (opset_import)', fix: AGAIN };
  }
  if (opset > MAX_ONNX_OPSET) {
    const problem = `needs operator set ${opset}, the server knows up to ${MAX_ONNX_OPSET}`;
    return { problem, fix: older };
  }
  if (irVersion !== undefined && irVersion > MAX_ONNX_IR) {
    const problem = `has IR version ${irVersion}, the server reads up to ${MAX_ONNX_IR}`;
    return { problem, fix: older };
  }
  return undefined;
}

function* onnxFault(file: FileBytes, beside: FilesBeside): Steps<ArtifactFault | undefined> {
  const head = file.read(0, HEAD_BYTES);
  const kind = kindOf(head);
  if (kind !== undefined && kind !== TEXT) return notA('onnx', head);
  try {
    const found = yield* onnxFile(file);
    if (!found.hasGraph) {
      const problem = 'holds no graph, so it is not an ONNX model';
      return { ...notA('onnx', head), problem, unknown: true };
    }
    return (yield* externalFaults(found.external, beside)) ?? versionFault(found);
  } catch (error) {
    if (!(error instanceof ProtoError)) throw error;
    const looksRight = head[0] === 0x08 && error.cut;
    return looksRight ? cutOff(`${file.size} bytes`) : notA('onnx', head);
  }
}

/** The reason why a server could not load a file; undefined when none is found. */
export function* artifactFault(
  file: FileBytes,
  format: ArtifactFormat,
  beside: FilesBeside,
): Steps<ArtifactFault | undefined> {
  const head = file.read(0, HEAD_BYTES);
  const first = emptyOrPointer(head, file.size);
  if (first !== undefined) return first;
  if (format === 'onnx') return yield* onnxFault(file, beside);
  const starts = STARTS[format];
  if (starts !== undefined && !starts.test(binaryText(head))) return notA(format, head);
  return tailFault(format, file);
}
