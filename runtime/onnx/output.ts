import { elementTexts } from './elements';
import type { NonFinite } from './elements';
import { nestedText, withoutBatch } from './nested';
import type { ModelFacts } from './model-facts';
import type { Tensor } from './tensor';

/** Rows of scores, each by the names of its classes. */
function classesText(
  labels: readonly string[],
  texts: readonly string[],
  dims: readonly number[],
): string {
  const size = labels.length;
  const names = labels.map((label) => JSON.stringify(label));
  const rows = Array.from({ length: texts.length / size }, (_, row) => {
    const own = texts.slice(row * size, (row + 1) * size);
    return `{${names.map((name, at) => `${name}:${own[at]}`).join(',')}}`;
  });
  return nestedText(rows, dims.slice(0, -1));
}

/**
 * One output in a caller's words: class names, and no fillers in the answer to one row.
 * @param rows of the call
 */
export function outputText(
  name: string,
  tensor: Tensor,
  classes: ModelFacts['classes'],
  nonFinite: NonFinite,
  rows = 1,
): string {
  const dims = withoutBatch(tensor);
  const labels = classes.get(name);
  const isScores = rows === 1 ? dims.length === 1 : dims.length > 1;
  if (labels !== undefined && isScores && dims.at(-1) === labels.length) {
    return classesText(labels, elementTexts(tensor, nonFinite), dims);
  }
  // In a row of strings the empty ones say "nothing here": a graph cannot give shorter rows.
  const isRow = dims.length === 1 && tensor.dims.length > 1;
  if (tensor.datatype.ort === 'string' && isRow && rows === 1) {
    return JSON.stringify((tensor.data as readonly string[]).filter((text) => text !== ''));
  }
  return nestedText(elementTexts(tensor, nonFinite), dims);
}
