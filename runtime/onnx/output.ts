import { elementTexts } from './elements';
import type { NonFinite } from './elements';
import { nestedText, withoutBatch } from './nested';
import type { Model } from './model';
import type { Tensor } from './tensor';

/** One output of one item in a caller's words: class names, and no fillers. */
export function outputText(
  name: string,
  tensor: Tensor,
  classes: Model['classes'],
  nonFinite: NonFinite,
): string {
  const dims = withoutBatch(tensor);
  const labels = classes.get(name);
  if (labels !== undefined && dims.length === 1 && dims[0] === labels.length) {
    const texts = elementTexts(tensor, nonFinite);
    return `{${labels.map((label, i) => `${JSON.stringify(label)}:${texts[i]}`).join(',')}}`;
  }
  // In a row of strings the empty ones say "nothing here": a graph cannot give shorter rows.
  if (tensor.datatype.ort === 'string' && dims.length === 1) {
    return JSON.stringify((tensor.data as readonly string[]).filter((text) => text !== ''));
  }
  return nestedText(tensor, dims, nonFinite);
}
