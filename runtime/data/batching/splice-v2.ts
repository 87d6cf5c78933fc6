import { eachString, TensorFault } from '../../shared/binary';
import type { Splice, Elements, Message } from './splice';
import { SpliceBuilder, eachKey, elementsOf, endOf } from './splice';
import { checkRaw, datatypeOf } from '../transcode/datatypes';
import type { Scanner } from '../transcode/scanner';
import { NotSimple, scanned } from '../transcode/scanner';
import { sizeOf } from '../transcode/tensor';

// The Open Inference Protocol V2 in JSON and with binary tensors: rows are the first dimension of
// every tensor.

const OPEN_LIST = 0x5b;
const MAX_DEPTH = 32;
/** A `data` list; `leaves` counts the leaves of elements that are lists. */
interface ListData {
  readonly field: number;
  readonly elements: Elements;
  readonly leaves: readonly (number | undefined)[];
}

/** The parsed parts of one tensor. */
interface SplicedTensor {
  datatype: string;
  dims: readonly number[];
  data: ListData | undefined;
  size: { readonly field: number; readonly bytes: number } | undefined;
}

/** Counts numbers, strings and booleans in a value, at any depth. */
function leavesOf(scanner: Scanner, depth = 0): number {
  if (scanner.next !== OPEN_LIST) {
    scanner.value();
    return 1;
  }
  if (depth > MAX_DEPTH) throw new NotSimple();
  let leaves = 0;
  scanner.list(() => {
    leaves += leavesOf(scanner, depth + 1);
  });
  return leaves;
}

function readData(scanner: Scanner, builder: SpliceBuilder): ListData {
  const leaves: (number | undefined)[] = [];
  const elements = elementsOf(scanner, (one) => {
    const from = one.position;
    const isList = one.next === OPEN_LIST;
    const count = leavesOf(one);
    leaves.push(isList ? count : undefined);
    return from + one.text.slice(from, one.position).trimEnd().length;
  });
  const { starts, ends } = elements;
  if (starts.length === 0) throw new NotSimple();
  const field = { kind: 'list', elements, perRow: 0 } as const;
  return { field: builder.field(starts[0] ?? 0, ends.at(-1) ?? 0, field), elements, leaves };
}

/** Splices the first dimension. */
function readShape(scanner: Scanner, builder: SpliceBuilder): readonly number[] {
  const from = scanner.position;
  const text = scanner.value();
  const first = /^\[\s*(\d{1,9})(?:\s*,\s*\d{1,9})*\s*\]\s*$/.exec(text)?.[1];
  if (first === undefined) throw new NotSimple();
  const at = from + text.indexOf(first);
  builder.field(at, at + first.length, { kind: 'rows' });
  const dims = JSON.parse(text) as readonly number[];
  if (dims.includes(0)) throw new NotSimple();
  return dims;
}

function readParameters(scanner: Scanner, builder: SpliceBuilder): SplicedTensor['size'] {
  let size: SplicedTensor['size'];
  eachKey(scanner, (key) => {
    if (key !== 'binary_data_size') return void scanner.value();
    const from = scanner.position;
    const text = scanner.value().trimEnd();
    if (!/^\d{1,15}$/.test(text)) throw new NotSimple();
    const field = { kind: 'bytes', bytes: Buffer.alloc(0), boundaries: [] } as const;
    size = { field: builder.field(from, from + text.length, field), bytes: Number(text) };
  });
  return size;
}

function readTensor(scanner: Scanner, builder: SpliceBuilder): SplicedTensor {
  const tensor: SplicedTensor = { datatype: '', dims: [], data: undefined, size: undefined };
  eachKey(scanner, (key) => {
    if (key === 'datatype') tensor.datatype = scanner.string();
    else if (key === 'shape') tensor.dims = readShape(scanner, builder);
    else if (key === 'data') tensor.data = readData(scanner, builder);
    else if (key === 'parameters') tensor.size = readParameters(scanner, builder);
    else scanner.value();
  });
  if (tensor.dims.length === 0 || (tensor.data === undefined) === (tensor.size === undefined)) {
    throw new NotSimple();
  }
  return tensor;
}

/**
 * Elements per row, if the list matches its shape exactly: one element missing here and one too
 * many in another request would shift rows between the two callers.
 */
function perRowOf({ elements, leaves }: ListData, dims: readonly number[]) {
  const [rows = 0, ...rest] = dims;
  const size = sizeOf(rest);
  const { length } = elements.starts;
  const isFlat = leaves.every((count) => count === undefined);
  if (isFlat && length === rows * size) return { perRow: size, form: 'flat' };
  const isNested = length === rows && leaves.every((count) => count === size);
  if (!isNested || rest.length === 0) throw new NotSimple();
  return { perRow: 1, form: 'nested' };
}

/** Offsets of the rows in a binary tensor, and the end of the last one. @throws TensorFault */
function boundariesOf(bytes: Buffer, { datatype: name, dims }: SplicedTensor): readonly number[] {
  const [rows = 0, ...rest] = dims;
  const perRow = sizeOf(rest);
  const datatype = datatypeOf(name);
  checkRaw(datatype, dims, bytes);
  if (datatype.kind !== 'bytes') {
    return Array.from({ length: rows + 1 }, (_, row) => row * perRow * datatype.bytes);
  }
  const boundaries = [0];
  eachString(bytes, (_, end, index) => {
    if ((index + 1) % perRow === 0) boundaries.push(end);
  });
  return boundaries;
}

function orGivenUp<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw error instanceof TensorFault ? new NotSimple() : error;
  }
}

/** Completes the fields once all tensors are read. @returns the forms of their data */
function fillFields(
  builder: SpliceBuilder,
  tensors: readonly SplicedTensor[],
  tail: Buffer,
): string {
  let at = 0;
  const forms = tensors.map((tensor) => {
    const { data, size, dims } = tensor;
    if (data !== undefined) {
      const { perRow, form } = perRowOf(data, dims);
      builder.fields[data.field] = { kind: 'list', elements: data.elements, perRow };
      return form;
    }
    const { field, bytes: length } = size as NonNullable<SplicedTensor['size']>;
    const bytes = tail.subarray(at, at + length);
    at += length;
    if (at > tail.length) throw new NotSimple();
    builder.fields[field] = {
      kind: 'bytes',
      bytes,
      boundaries: orGivenUp(() => boundariesOf(bytes, tensor)),
    };
    return 'bytes';
  });
  if (at !== tail.length) throw new NotSimple();
  return forms.join();
}

/** Requests of a sequence depend on state in the server. */
const SEQUENCE = /"sequence_(?:id|start|end)"/;

/** @param maxRows rejects more rows early: a binary tensor may have a row per byte */
function spliceTensors(
  { body, jsonBytes }: Message,
  list: string,
  maxRows: number,
): Splice | undefined {
  const text = body.toString('latin1', 0, jsonBytes ?? body.length);
  return scanned(
    text,
    (scanner): Splice => {
      const builder = new SpliceBuilder(text);
      const tensors: SplicedTensor[] = [];
      eachKey(scanner, (key) => {
        const from = scanner.position;
        if (key === list) scanner.list(() => void tensors.push(readTensor(scanner, builder)));
        else if (key === 'id') {
          const to = endOf(scanner);
          builder.field(from, to, { kind: 'id', text: text.slice(from, to) });
        } else if (SEQUENCE.test(scanner.value()) && key === 'parameters') throw new NotSimple();
      });
      const rows = new Set(tensors.map(({ dims }) => dims[0]));
      const [only] = rows;
      if (only === undefined || rows.size !== 1 || only > maxRows) throw new NotSimple();
      const shape = fillFields(builder, tensors, body.subarray(jsonBytes ?? body.length));
      return builder.build(only, shape);
    },
    true,
  );
}

/** An `infer` request. Undefined: it cannot be batched. */
export function spliceV2(message: Message, maxRows = Infinity): Splice | undefined {
  return spliceTensors(message, 'inputs', maxRows);
}

/** An answer. Undefined: its outputs differ in their number of rows. */
export function spliceV2Answer(message: Message, maxRows = Infinity): Splice | undefined {
  return spliceTensors(message, 'outputs', maxRows);
}
