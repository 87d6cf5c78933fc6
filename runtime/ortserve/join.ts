import type { TensorData } from './datatype';
import { arrayOf } from './datatype';
import type { Tensor, Tensors } from './tensor';
import { elementsOf } from './tensor';

// Several requests as one run: joined on the leading dimension, and cut apart again.

/** Names and shapes without the leading dimension: feeds with the same text can be joined. */
export function joinKey(feeds: Tensors): string {
  return Object.entries(feeds)
    .map(([name, { datatype, dims }]) => `${name} ${datatype} ${dims.slice(1).join('x')}`)
    .sort()
    .join('\n');
}

/** The leading dimension that all tensors share; undefined when they do not, or one is a scalar. */
export function rowsOf(tensors: Tensors): number | undefined {
  let rows: number | undefined;
  for (const { dims } of Object.values(tensors)) {
    const [first] = dims;
    if (first === undefined || (rows !== undefined && rows !== first)) return undefined;
    rows = first;
  }
  return rows;
}

function joinOne(parts: readonly Tensor[]): Tensor {
  const [first] = parts as [Tensor];
  const rows = parts.reduce((sum, { dims }) => sum + (dims[0] ?? 0), 0);
  const dims = [rows, ...first.dims.slice(1)];
  const data = arrayOf(first.datatype, elementsOf(dims));
  let at = 0;
  for (const one of parts) {
    if (Array.isArray(data))
      (one.data as string[]).forEach((text, index) => (data[at + index] = text));
    else (data as { set: (from: unknown, at: number) => void }).set(one.data, at);
    at += one.data.length;
  }
  return { datatype: first.datatype, dims, data };
}

/** Feeds of several requests with one `joinKey`. */
export function joinFeeds(all: readonly Tensors[]): Tensors {
  const names = Object.keys(all[0] ?? {});
  return Object.fromEntries(
    names.map((name) => [name, joinOne(all.map((feeds) => feeds[name] as Tensor))]),
  );
}

function part({ datatype, dims, data }: Tensor, from: number, rows: number): Tensor {
  const size = elementsOf(dims.slice(1));
  const own = data.slice(from * size, (from + rows) * size) as TensorData;
  return { datatype, dims: [rows, ...dims.slice(1)], data: own };
}

/**
 * The outputs of each request; undefined when an output does not have as many rows as went in, that is,
 * when the graph does more than work row by row.
 */
export function splitOutputs(
  outputs: Tensors,
  rows: readonly number[],
): readonly Tensors[] | undefined {
  const total = rows.reduce((sum, one) => sum + one, 0);
  const entries = Object.entries(outputs);
  if (entries.some(([, { dims }]) => dims[0] !== total)) return undefined;
  let from = 0;
  return rows.map((count) => {
    const own = Object.fromEntries(
      entries.map(([name, tensor]) => [name, part(tensor, from, count)]),
    );
    from += count;
    return own;
  });
}

/** Arithmetic of another batch size may differ in the last bits. */
const TOLERANCE = 1e-4;

const close = (a: number, b: number): boolean =>
  Object.is(a, b) || Math.abs(a - b) <= TOLERANCE * Math.max(1, Math.abs(a), Math.abs(b));

function sameTensor(a: Tensor | undefined, b: Tensor): boolean {
  if (a === undefined || a.dims.join() !== b.dims.join()) return false;
  const exact = b.datatype !== 'FP32' && b.datatype !== 'FP64' && b.datatype !== 'FP16';
  for (let index = 0; index < b.data.length; index += 1) {
    const [x, y] = [a.data[index], b.data[index]];
    const same = exact ? x === y : close(Number(x), Number(y));
    if (!same) return false;
  }
  return true;
}

export function sameOutputs(a: Tensors, b: Tensors): boolean {
  return Object.entries(b).every(([name, tensor]) => sameTensor(a[name], tensor));
}
