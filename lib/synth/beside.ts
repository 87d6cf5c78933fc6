import { existsSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import { entryOf, isObject } from '../spec/entry';

/** Extensions of artifacts that are one file, by framework. */
const EXTENSION: Readonly<Record<string, string>> = { onnx: '.onnx' };

/**
 * A definition without source and image means the artifact beside it: `iris.onnx` for the file
 * `iris.yaml` or the id `iris`. Other definitions stay unchanged.
 */
export function withArtifactBeside(value: unknown, file: string): unknown {
  if (!isObject(value)) return value;
  const wire = Object.hasOwn(value, 'model_id');
  const [source, image, id] = wire
    ? ['repository_url', 'docker_image', value['model_id']]
    : ['source', 'image', value['id']];
  const extension = entryOf(EXTENSION, String(value['framework']));
  if (
    extension === undefined ||
    entryOf(value, source) !== undefined ||
    entryOf(value, image) !== undefined
  ) {
    return value;
  }
  const names = [basename(file, extname(file)), ...(typeof id === 'string' ? [id] : [])];
  const found = names
    .map((name) => `${basename(name)}${extension}`)
    .find((name) => existsSync(join(dirname(file), name)));
  return found === undefined ? value : { ...value, [source]: `./${found}` };
}
