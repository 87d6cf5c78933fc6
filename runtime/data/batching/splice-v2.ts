import { eachString, TensorFault } from '../../shared/binary';
import type { Cut, Elements, Message } from './splice';
import { Cutter, eachKey, elementsOf, endOf } from './splice';
import { checkRaw, datatypeOf } from '../transcode/datatypes';
import type { Scanner } from '../transcode/scanner';
import { NotSimple, scanned } from '../transcode/scanner';
import { sizeOf } from '../transcode/tensor';

// The Open Inference Protocol V2, JSON and its extension for binary tensors: rows lie along the
// first dimension of every tensor.

const OPEN_LIST = 0x5b;
const MAX_DEPTH = 32;
/** A list as it stands: elements that are lists have so many leaves, others none. */
interface Data {
  readonly hole: number;
  readonly elements: Elements;
  readonly leaves: readonly (number | undefined)[];
}

/** What was read of one tensor. */
interface Tensor {
  datatype: string;
  dims: readonly number[];
  data: Data | undefined;
  size: { readonly hole: number; readonly bytes: number } | undefined;
}

/** Numbers, texts and booleans in a value, however deep. */
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

function takeData(scanner: Scanner, cutter: Cutter): Data {
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
  const hole = { kind: 'list', elements, perRow: 0 } as const;
  return { hole: cutter.cut(starts[0] ?? 0, ends.at(-1) ?? 0, hole), elements, leaves };
}

/** The first dimension is cut out. */
function takeShape(scanner: Scanner, cutter: Cutter): readonly number[] {
  const from = scanner.position;
  const text = scanner.value();
  const first = /^\[\s*(\d{1,9})(?:\s*,\s*\d{1,9})*\s*\]\s*$/.exec(text)?.[1];
  if (first === undefined) throw new NotSimple();
  const at = from + text.indexOf(first);
  cutter.cut(at, at + first.length, { kind: 'rows' });
  const dims = JSON.parse(text) as readonly number[];
  if (dims.includes(0)) throw new NotSimple();
  return dims;
}

function takeParameters(scanner: Scanner, cutter: Cutter): Tensor['size'] {
  let size: Tensor['size'];
  eachKey(scanner, (key) => {
    if (key !== 'binary_data_size') return void scanner.value();
    const from = scanner.position;
    const text = scanner.value().trimEnd();
    if (!/^\d{1,15}$/.test(text)) throw new NotSimple();
    const hole = { kind: 'bytes', bytes: Buffer.alloc(0), boundaries: [] } as const;
    size = { hole: cutter.cut(from, from + text.length, hole), bytes: Number(text) };
  });
  return size;
}

function takeTensor(scanner: Scanner, cutter: Cutter): Tensor {
  const tensor: Tensor = { datatype: '', dims: [], data: undefined, size: undefined };
  eachKey(scanner, (key) => {
    if (key === 'datatype') tensor.datatype = scanner.string();
    else if (key === 'shape') tensor.dims = takeShape(scanner, cutter);
    else if (key === 'data') tensor.data = takeData(scanner, cutter);
    else if (key === 'parameters') tensor.size = takeParameters(scanner, cutter);
    else scanner.value();
  });
  if (tensor.dims.length === 0 || (tensor.data === undefined) === (tensor.size === undefined)) {
    throw new NotSimple();
  }
  return tensor;
}

/**
 * Elements for each row, if the list has exactly what its shape says: one too few here and one too
 * many in another request would shift the rows between the two callers.
 */
function perRowOf({ elements, leaves }: Data, dims: readonly number[]) {
  const [rows = 0, ...rest] = dims;
  const size = sizeOf(rest);
  const { length } = elements.starts;
  const isFlat = leaves.every((count) => count === undefined);
  if (isFlat && length === rows * size) return { perRow: size, form: 'flat' };
  const isNested = length === rows && leaves.every((count) => count === size);
  if (!isNested || rest.length === 0) throw new NotSimple();
  return { perRow: 1, form: 'nested' };
}

/** Where each row begins in a binary tensor, and the last one ends. @throws TensorFault */
function boundariesOf(bytes: Buffer, { datatype: name, dims }: Tensor): readonly number[] {
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

/** Fills in what is known of the holes of the tensors now. @returns the forms of their data */
function complete(cutter: Cutter, tensors: readonly Tensor[], tail: Buffer): string {
  let at = 0;
  const forms = tensors.map((tensor) => {
    const { data, size, dims } = tensor;
    if (data !== undefined) {
      const { perRow, form } = perRowOf(data, dims);
      cutter.holes[data.hole] = { kind: 'list', elements: data.elements, perRow };
      return form;
    }
    const { hole, bytes: length } = size as NonNullable<Tensor['size']>;
    const bytes = tail.subarray(at, at + length);
    at += length;
    if (at > tail.length) throw new NotSimple();
    cutter.holes[hole] = {
      kind: 'bytes',
      bytes,
      boundaries: orGivenUp(() => boundariesOf(bytes, tensor)),
    };
    return 'bytes';
  });
  if (at !== tail.length) throw new NotSimple();
  return forms.join();
}

/** Requests of a sequence belong to a state inside the server. */
const SEQUENCE = /"sequence_(?:id|start|end)"/;

/** @param maxRows with more it is not looked at: a binary tensor may have a row in each byte */
function cutTensors({ body, jsonBytes }: Message, list: string, maxRows: number): Cut | undefined {
  const text = body.toString('latin1', 0, jsonBytes ?? body.length);
  return scanned(
    text,
    (scanner): Cut => {
      const cutter = new Cutter(text);
      const tensors: Tensor[] = [];
      eachKey(scanner, (key) => {
        const from = scanner.position;
        if (key === list) scanner.list(() => void tensors.push(takeTensor(scanner, cutter)));
        else if (key === 'id') {
          const to = endOf(scanner);
          cutter.cut(from, to, { kind: 'id', text: text.slice(from, to) });
        } else if (SEQUENCE.test(scanner.value()) && key === 'parameters') throw new NotSimple();
      });
      const rows = new Set(tensors.map(({ dims }) => dims[0]));
      const [only] = rows;
      if (only === undefined || rows.size !== 1 || only > maxRows) throw new NotSimple();
      const shape = complete(cutter, tensors, body.subarray(jsonBytes ?? body.length));
      return cutter.end(only, shape);
    },
    true,
  );
}

/** An `infer` request. Undefined: it cannot go with others. */
export function cutV2(message: Message, maxRows = Infinity): Cut | undefined {
  return cutTensors(message, 'inputs', maxRows);
}

/** The answer to one. Undefined: not every output has as many rows as the others. */
export function cutV2Answer(message: Message, maxRows = Infinity): Cut | undefined {
  return cutTensors(message, 'outputs', maxRows);
}
