import { fromHalf } from '../shared/float16';
import { elementsOf } from './tensor';
import type { TensorData } from './element-type';
import type { Model } from './model';
import type { Tensor, Tensors } from './tensor';
import { entryOf, setEntry } from '../../lib/spec/entry';

// Several requests as one run: joined on the leading dimension, and cut apart again.

/** Does every input and output of a graph have a leading dimension of any size? */
export function mayJoin({ inputs, outputs }: Pick<Model, 'inputs' | 'outputs'>): boolean {
  return (
    inputs.length > 0 &&
    outputs.length > 0 &&
    [...inputs, ...outputs].every(({ shape }) => shape?.[0] === -1)
  );
}

/** The leading dimension all inputs share; undefined when they do not, or when it is empty. */
export function rowsOf(inputs: Tensors): number | undefined {
  let rows: number | undefined;
  for (const name in inputs) {
    const first = entryOf(inputs, name)?.dims[0];
    if (first === undefined || (rows !== undefined && rows !== first)) return undefined;
    rows = first;
  }
  return rows === 0 ? undefined : rows;
}

/** The shapes without the leading dimension: inputs of one model with the same key can be joined. */
export function joinKey(inputs: Tensors): string {
  let key = '';
  for (const name in inputs) key += `${name} ${entryOf(inputs, name)?.dims.slice(1).join('x')}\n`;
  return key;
}

function joinOne(parts: readonly Tensor[]): Tensor {
  const [first] = parts as readonly [Tensor];
  let rows = 0;
  for (const { dims } of parts) rows += dims[0] ?? 0;
  const { datatype } = first;
  const dims = [rows, ...first.dims.slice(1)];
  if (datatype.bytes === 0) {
    return { datatype, dims, data: parts.flatMap(({ data }) => data as readonly string[]) };
  }
  const data = datatype.make(elementsOf(dims)) as Float32Array;
  let at = 0;
  for (const part of parts) {
    data.set(part.data as Float32Array, at);
    at += part.data.length;
  }
  return { datatype, dims, data };
}

/** One set of inputs from several with the same `joinKey` and the names in the same order. */
export function joined(items: readonly Tensors[]): Tensors {
  const whole: Record<string, Tensor> = {};
  for (const name in items[0]) {
    setEntry(whole, name, joinOne(items.map((item) => entryOf(item, name) as Tensor)));
  }
  return whole;
}

function rowsFrom({ datatype, dims, data }: Tensor, from: number, rows: number): Tensor {
  const rest = dims.slice(1);
  const size = elementsOf(rest);
  const own = data.slice(from * size, (from + rows) * size) as TensorData;
  return { datatype, dims: [rows, ...rest], data: own };
}

/**
 * The outputs of each item; undefined when an output does not have as many rows as went in: then
 * the graph does more than work row by row.
 */
export function split(outputs: Tensors, rows: readonly number[]): readonly Tensors[] | undefined {
  let total = 0;
  for (const count of rows) total += count;
  for (const name in outputs) if (entryOf(outputs, name)?.dims[0] !== total) return undefined;
  let from = 0;
  return rows.map((count) => {
    const own: Record<string, Tensor> = {};
    for (const name in outputs)
      setEntry(own, name, rowsFrom(entryOf(outputs, name) as Tensor, from, count));
    from += count;
    return own;
  });
}

/** Are these bytewise the same, text by text and bit by bit? */
export function sameData(a: Tensor | undefined, b: Tensor | undefined): boolean {
  if (a === undefined || b === undefined || a.data.length !== b.data.length) return a === b;
  if (!ArrayBuffer.isView(a.data) || !ArrayBuffer.isView(b.data)) {
    return (a.data as readonly string[]).every((text, at) => text === b.data[at]);
  }
  const bytes = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Buffer =>
    Buffer.from(buffer, byteOffset, byteLength);
  return bytes(a.data).equals(bytes(b.data));
}

/** Arithmetic of another batch size may differ in its last bits; half floats have fewer of them. */
const TOLERANCE = { float: 1e-4, half: 4e-3 } as const;
/** Below it differences are rounding, not another answer. */
const TINY = 1e-3;

function sameNumber(x: number, y: number, tolerance: number): boolean {
  if (x === y || (Number.isNaN(x) && Number.isNaN(y))) return true;
  const size = Math.max(TINY, Math.abs(x), Math.abs(y));
  return Math.abs(x - y) <= tolerance * size;
}

function sameTensor(a: Tensor | undefined, b: Tensor): boolean {
  if (a === undefined || a.dims.join() !== b.dims.join()) return false;
  const { kind } = b.datatype.elements;
  for (let i = 0; i < b.data.length; i += 1) {
    const [x, y] = [a.data[i], b.data[i]];
    if (x === y) continue;
    if ((kind !== 'float' && kind !== 'half') || typeof x !== 'number' || typeof y !== 'number') {
      return false;
    }
    const isSame =
      kind === 'half'
        ? sameNumber(fromHalf(x), fromHalf(y), TOLERANCE.half)
        : sameNumber(x, y, TOLERANCE.float);
    if (!isSame) return false;
  }
  return true;
}

/** Are these the same answers, but for rounding? */
export function sameOutputs(a: Tensors, b: Tensors): boolean {
  return Object.entries(b).every(([name, tensor]) => sameTensor(entryOf(a, name), tensor));
}
