// Small ONNX files, made by hand: y = x · w with weights in the file or beside it.

type Bytes = readonly number[];

function varint(value: number): Bytes {
  const digits: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) digits.push((rest % 128) | 128);
  return [...digits, rest];
}

const number = (field: number, value: number): Bytes => [...varint(field * 8), ...varint(value)];

function bytes(field: number, ...content: readonly (Bytes | string)[]): Bytes {
  const all = content.flatMap((one) => (typeof one === 'string' ? [...Buffer.from(one)] : one));
  return [...varint(field * 8 + 2), ...varint(all.length), ...all];
}

const pair = (key: string, value: string): Bytes => bytes(13, bytes(1, key), bytes(2, value));

const FLOAT = 1;
const valueInfo = (field: number, name: string): Bytes => {
  const shape = bytes(2, bytes(1, bytes(2, 'N')), bytes(1, number(1, 2)));
  return bytes(field, bytes(1, name), bytes(2, bytes(1, number(1, FLOAT), shape)));
};

export interface OnnxOptions {
  readonly ir?: number;
  /** 0: none is named. */
  readonly opset?: number;
  /** Where the weights are; absent: in the file. */
  readonly location?: string;
  readonly offset?: number;
  readonly length?: number;
  /** Weights of a node’s attribute instead of an initializer. */
  readonly inAttribute?: boolean;
}

/** The weights: [[1, 2], [3, 4]] as floats. */
export const WEIGHTS = Buffer.from(Float32Array.of(1, 2, 3, 4).buffer);

function tensor(field: number, { location, offset = 0, length = 16 }: OnnxOptions): Bytes {
  const head = [...number(1, 2), ...number(1, 2), ...number(2, FLOAT)];
  if (location === undefined) return bytes(field, head, bytes(8, 'w'), bytes(9, [...WEIGHTS]));
  return bytes(
    field,
    head,
    bytes(8, 'w'),
    pair('location', location),
    pair('offset', String(offset)),
    pair('length', String(length)),
    number(14, 1),
  );
}

/** An ONNX model that multiplies rows of two numbers with the weights. */
export function onnxBytes(options: OnnxOptions = {}): Buffer {
  const { ir = 8, opset = 13, inAttribute = false } = options;
  const product = bytes(1, bytes(1, 'x'), bytes(1, 'w'), bytes(2, 'y'), bytes(4, 'MatMul'));
  const attribute = bytes(5, bytes(1, 'value'), tensor(5, options), number(20, 4));
  const constant = bytes(1, bytes(2, 'w'), bytes(4, 'Constant'), attribute);
  const graph = bytes(
    7,
    inAttribute ? constant : [],
    product,
    bytes(2, 'g'),
    inAttribute ? [] : tensor(5, options),
    valueInfo(11, 'x'),
    valueInfo(12, 'y'),
  );
  return Buffer.from([
    ...number(1, ir),
    ...(opset === 0 ? [] : bytes(8, number(2, opset))),
    ...graph,
  ]);
}
