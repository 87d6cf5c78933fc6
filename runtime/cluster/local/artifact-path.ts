import { realpathSync, statSync } from 'node:fs';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import { filePathOf } from '../../../lib/spec';
import type { ArtifactFault, FilesBeside } from '../../../lib/spec/artifactfault';
import { filesBeside } from '../../../lib/synth/modelfile';
import { ClusterError } from '../port';

/** Error for a file source that cannot be used. */
export function refusal(uri: string, problem: string, advice: string): ClusterError {
  return new ClusterError(
    'INVALID_MODEL_CONFIG',
    `repository_url: got "${uri}", ${problem}; ${advice}`,
  );
}

/** A file source that exists and cannot be loaded. */
export class BrokenSource extends ClusterError {
  constructor(uri: string, { problem, fix }: ArtifactFault) {
    super('INVALID_MODEL_CONFIG', `repository_url: got "${uri}", which ${problem}; ${fix}`);
  }
}

/** Names of files that ONNX Runtime may load; a file in a cache of a hub has no extension. */
const MODEL_NAME = /\.(?:onnx|ort)$|[/\\][^./\\]+$/i;

/**
 * A file of unknown format is left to the model server, whose error the status shows, unless its
 * name is not that of a model (x.yaml).
 */
export const isNotAModel = (
  path: string,
  doubt: ArtifactFault | undefined,
): doubt is ArtifactFault => doubt !== undefined && !MODEL_NAME.test(path);

/** Files beside a model, links followed, none outside the models folder. */
export const besideInside = (folder: string, model: string): FilesBeside =>
  filesBeside(model, (path) => fileInside(folder, path));

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

/**
 * The real path of a `file` source of a definition that came by REST: inside the models folder,
 * links followed.
 * @throws ClusterError when it is elsewhere, missing or not a regular file
 */
export function fileInside(folder: string, uri: string): string {
  const refuse = (problem: string): ClusterError =>
    refusal(uri, problem, 'put the file into the models folder and name it relative to that');
  const root = realPath(folder);
  const real = realPath(resolve(folder, filePathOf(uri)));
  if (root === undefined || real === undefined) throw refuse('which is not there');
  const below = relative(root, real);
  if (below === '..' || below.startsWith(`..${sep}`) || isAbsolute(below)) {
    throw refuse('which is outside the models folder');
  }
  // Reading a pipe or a device might never end.
  if (!statSync(real).isFile()) throw refuse('which is not a file');
  return real;
}
