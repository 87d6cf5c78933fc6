import { access } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { schemeOf } from '../../lib/spec';
import { externalIn } from '../../lib/synth/modelfile';
import { shown, SourceError } from './entry';
import { safePath, segmentsOf } from './safe-path';

// An ONNX file may keep weights in other files, named relative to itself. A source that names the
// model file means the whole model: the other files are loaded from beside it.

/** A missing file of weights. */
export interface ExternalFile {
  /** Name in the target folder. */
  readonly name: string;
  /** Its URI, beside the model. */
  readonly uri: string;
}

/** The file beside a URI; undefined for sources without named siblings. */
function besideUri(uri: string, location: string): string | undefined {
  const scheme = schemeOf(uri);
  // A signature covers one file; layers of an artifact are named by their digests.
  if (scheme === 'oci' || (scheme === 'https' && /[?#]/.test(uri))) return undefined;
  const segments = segmentsOf(location);
  // Paths of files and of the hub are not percent-encoded.
  const asIs = scheme === 'file' || scheme === 'hf';
  const plain = asIs ? segments : segments.map(encodeURIComponent);
  return uri.replace(/[^/]*$/, '') + plain.join('/');
}

const isThere = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

/**
 * External weights of the model of this name that are not in the target folder.
 * @throws SourceError when they cannot be loaded from beside it
 */
export async function missingWeights(
  uri: string,
  folder: string,
  model: string,
): Promise<readonly ExternalFile[]> {
  const missing: ExternalFile[] = [];
  // A file that is not ONNX names no others; the model server reports its faults.
  const external = await externalIn(safePath(folder, model));
  for (const location of new Set(external.map((tensor) => tensor.location))) {
    segmentsOf(location);
    const name = posix.join(posix.dirname(model), location);
    if (await isThere(join(folder, name))) continue;
    const beside = besideUri(uri, location);
    if (beside === undefined) {
      throw new SourceError(
        `${shown(uri)}: the model has its weights in ${location}, which is not loaded with it; name the folder or archive that holds both, or save the model in one file (onnx.save_model)`,
      );
    }
    missing.push({ name, uri: beside });
  }
  return missing;
}
