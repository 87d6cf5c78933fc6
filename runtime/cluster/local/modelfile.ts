import { closeSync, fstatSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ArtifactFault, FilesBeside } from '../../../lib/spec/artifactfault';
import { artifactFault } from '../../../lib/spec/artifactfault';
import type { FileBytes } from '../../../lib/spec/filebytes';
import { withExternalData } from '../../../lib/spec/onnxexternal';
import type { ExternalTensor } from '../../../lib/spec/onnxfile';
import { onnxFile } from '../../../lib/spec/onnxfile';
import { ProtoError } from '../../../lib/spec/protobuf';
import { fileInside } from './inside';

/** Weights beside a model are put into it at one go; more would hold the event loop. */
const MAX_JOINED_BYTES = 32 * 1024 * 1024;

/** Names of files that ONNX Runtime may load; a file in a cache of a hub has no extension. */
const MODEL_NAME = /\.(?:onnx|ort)$|[/\\][^./\\]+$/i;

function withOpen<T>(path: string, use: (file: FileBytes) => T): T {
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

/** Files beside a model, links followed, none outside the models folder. */
function besideOf(folder: string, model: string): FilesBeside {
  return (location) => {
    const path = join(dirname(model), location);
    if (statSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
    const file = fileInside(folder, path);
    const read: FileBytes['read'] = (start, length) =>
      withOpen(file, (open) => open.read(start, length));
    return { size: statSync(file).size, read };
  };
}

function tooLarge(external: readonly ExternalTensor[], beside: FilesBeside): boolean {
  const locations = new Set(external.map(({ location }) => location));
  const bytes = [...locations].reduce((sum, one) => sum + (beside(one)?.size ?? 0), 0);
  return bytes > MAX_JOINED_BYTES;
}

/** Does an ONNX file keep weights in other files? */
export function hasWeightsBeside(path: string): boolean {
  try {
    return withOpen(path, onnxFile).external.length > 0;
  } catch (error) {
    if (error instanceof ProtoError) return false;
    throw error;
  }
}

/**
 * An ONNX file of the models folder with the weights that stand beside it; undefined when it is
 * whole by itself. What could not be loaded is a fault.
 */
export function joinedModel(folder: string, path: string): Uint8Array | ArtifactFault | undefined {
  const beside = besideOf(folder, path);
  return withOpen(path, (file) => {
    const broken = artifactFault(file, 'onnx', beside);
    // What is of no known kind is left to the model server, whose words the status shows; but not
    // what is not even named as a model (x.yaml).
    const isLeft = broken?.unknown === true && MODEL_NAME.test(path);
    if (broken !== undefined) return isLeft ? undefined : broken;
    const { external } = onnxFile(file);
    if (external.length === 0) return undefined;
    if (tooLarge(external, beside)) {
      return {
        problem: `has more than ${MAX_JOINED_BYTES} bytes of weights beside it`,
        fix: 'save it in one file (onnx.save_model), or serve its folder with ai-model-service dev',
      };
    }
    return withExternalData(readFileSync(path), ({ location, offset, length }) => {
      const weights = beside(location);
      return weights?.read(offset, length ?? weights.size - offset) ?? new Uint8Array();
    });
  });
}
