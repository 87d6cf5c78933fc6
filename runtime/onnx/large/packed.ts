import { setImmediate as nextTurn } from 'node:timers/promises';
import { entryOf, setEntry } from '../../../lib/spec/entry';
import { joinStrings, LENGTH_BYTES } from '../../shared/binary';
import { joined } from '../../shared/join-buffers';
import { tryFindByOrt } from '../element-type';
import { elementsOf } from '../tensor';
import type { BigData, ElementType, NumericData, OrtType, TensorData } from '../element-type';
import type { Tensor, Tensors } from '../tensor';

// Tensors as they go from one thread to another: a few large pieces of memory which change hands,
// however many rows there are. They are put together, and taken apart, in slices.

/** So many elements are copied, or so many strings written, before others have their turn. */
export const SLICE = 65_536;
/** Overhead of a tensor or a string, in elements. */
const PIECE = 16;

export type YieldTurn = () => Promise<unknown>;

/** Counts work and yields to the event loop after each slice. */
class SliceCounter {
  private done = 0;

  constructor(private readonly turn: YieldTurn) {}

  did(elements: number): Promise<unknown> | undefined {
    this.done += elements + PIECE;
    if (this.done < SLICE) return undefined;
    this.done = 0;
    return this.turn();
  }
}

/** One input or output of all items. */
interface PackedColumn {
  readonly name: string;
  readonly type: OrtType;
  readonly ranks: Uint32Array;
  readonly dims: Float64Array;
  /** Absent where only the shapes are wanted. */
  readonly numbers?: NumericData | BigData;
  /** Each behind its length. */
  readonly strings?: Uint8Array;
}

export interface PackedTensors {
  readonly count: number;
  readonly columns: readonly PackedColumn[];
}

/** Whether elements are packed besides the shapes. */
export type PackedContent = 'data' | 'shapes';

async function numbersOf(tensors: readonly Tensor[], type: ElementType, slices: SliceCounter) {
  const size = tensors.reduce((sum, { data }) => sum + data.length, 0);
  const target = type.make(size) as Float32Array;
  let at = 0;
  for (const tensor of tensors) {
    const data = tensor.data as Float32Array;
    for (let from = 0; from < data.length; from += SLICE) {
      const piece = data.subarray(from, from + SLICE);
      target.set(piece, at);
      at += piece.length;
      await slices.did(piece.length);
    }
  }
  return target;
}

async function stringsOf(tensors: readonly Tensor[], slices: SliceCounter): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const many = SLICE / PIECE;
  for (const tensor of tensors) {
    const data = tensor.data as readonly string[];
    for (let from = 0; from < data.length; from += many) {
      const piece = joinStrings(data.slice(from, from + many));
      pieces.push(piece);
      await slices.did(piece.length);
    }
  }
  return joined(pieces);
}

async function columnOf(
  name: string,
  tensors: readonly Tensor[],
  wanted: PackedContent,
  slices: SliceCounter,
): Promise<PackedColumn> {
  const { datatype } = tensors[0] as Tensor;
  const ranks = Uint32Array.from(tensors, ({ dims }) => dims.length);
  const all = new Float64Array(tensors.reduce((sum, { dims }) => sum + dims.length, 0));
  let at = 0;
  for (const { dims } of tensors) {
    all.set(dims, at);
    at += dims.length;
    await slices.did(0);
  }
  const shapes = { name, type: datatype.ort, ranks, dims: all };
  if (wanted === 'shapes') return shapes;
  if (datatype.bytes === 0) return { ...shapes, strings: await stringsOf(tensors, slices) };
  return { ...shapes, numbers: await numbersOf(tensors, datatype, slices) };
}

/** Items that all have tensors of the same names. */
export async function packTensors(
  items: readonly Tensors[],
  wanted: PackedContent = 'data',
  turn: YieldTurn = nextTurn,
): Promise<PackedTensors> {
  const slices = new SliceCounter(turn);
  const columns: PackedColumn[] = [];
  for (const name of Object.keys(items[0] ?? {})) {
    const tensors = items.map((item) => entryOf(item, name) as Tensor);
    columns.push(await columnOf(name, tensors, wanted, slices));
  }
  return { count: items.length, columns };
}

/** The memory that changes hands. */
export const memoryOf = ({ columns }: PackedTensors): ArrayBuffer[] =>
  columns.flatMap(({ ranks, dims, numbers, strings }) =>
    [ranks, dims, numbers, strings].flatMap((part) => (part ? [part.buffer as ArrayBuffer] : [])),
  );

async function textsIn(given: Uint8Array, slices: SliceCounter): Promise<string[]> {
  const bytes = Buffer.from(given.buffer, given.byteOffset, given.length);
  const texts: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const begin = at + LENGTH_BYTES;
    at = begin + bytes.readUInt32LE(at);
    texts.push(bytes.toString('utf8', begin, at));
    await slices.did(at - begin);
  }
  return texts;
}

async function addColumn(
  items: readonly Record<string, Tensor>[],
  column: PackedColumn,
  slices: SliceCounter,
): Promise<void> {
  const { name, type, ranks, dims: all, numbers, strings } = column;
  const datatype = tryFindByOrt(type) as ElementType;
  const data = strings ? await textsIn(strings, slices) : (numbers ?? datatype.make(0));
  let at = 0;
  let element = 0;
  for (const [index, item] of items.entries()) {
    const rank = ranks[index] ?? 0;
    const dims = Array.from(all.subarray(at, at + rank));
    const size = elementsOf(dims);
    // A row has memory of its own: a message with it would take that of all rows along.
    const own = items.length === 1 ? data : data.slice(element, element + size);
    setEntry(item, name, { datatype, dims, data: own as TensorData });
    at += rank;
    element += size;
    await slices.did(items.length === 1 ? 0 : size);
  }
}

export async function unpackTensors(
  { count, columns }: PackedTensors,
  turn: YieldTurn = nextTurn,
): Promise<readonly Tensors[]> {
  const slices = new SliceCounter(turn);
  const items = Array.from({ length: count }, (): Record<string, Tensor> => ({}));
  for (const column of columns) await addColumn(items, column, slices);
  return items;
}
