import { bytesField, varintField } from '../../../runtime/onnx/wire';

// Small ONNX files from a few words, for graphs that tests are about.

/** Element types of onnx.proto. */
export const TYPES = { float: 1, int32: 6, int64: 7, string: 8, bool: 9, double: 11 } as const;

export type TypeName = keyof typeof TYPES;
type Dims = readonly (number | string)[];
type Part = Uint8Array;

export type AttributeValue =
  | number
  | string
  | readonly number[]
  | readonly string[]
  | { readonly float: number }
  | { readonly graph: GraphText }
  | { readonly tensor: Constant }
  | { readonly reference: string };

export interface NodeText {
  readonly op: string;
  readonly in: readonly string[];
  readonly out: readonly string[];
  readonly at?: Readonly<Record<string, AttributeValue>>;
  readonly domain?: string;
}

export interface Constant {
  readonly dims: readonly number[];
  readonly type?: TypeName;
  readonly data: readonly number[];
}

export interface GraphText {
  readonly inputs?: Readonly<Record<string, readonly [TypeName, Dims]>>;
  readonly outputs: Readonly<Record<string, readonly [TypeName, Dims]>>;
  readonly constants?: Readonly<Record<string, Constant>>;
  readonly nodes: readonly NodeText[];
}

export interface FunctionText {
  readonly name: string;
  readonly domain: string;
  readonly in: readonly string[];
  readonly out: readonly string[];
  readonly nodes: readonly NodeText[];
}

export interface FileText extends GraphText {
  readonly opset?: number;
  readonly functions?: readonly FunctionText[];
}

function float32(value: number): Part {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}

/** A field of wire type 5. */
const floatField = (number: number, value: number): Part =>
  Buffer.concat([Buffer.from([number * 8 + 5]), float32(value)]);

function tensor({ dims, type = 'int64', data }: Constant, name = ''): Part[] {
  const values =
    type === 'float'
      ? [bytesField(4, [Buffer.concat(data.map(float32))])]
      : data.map((one) => varintField(type === 'int64' ? 7 : 5, one));
  return [
    ...dims.map((size) => varintField(1, size)),
    varintField(2, TYPES[type]),
    ...values,
    bytesField(8, name),
  ];
}

function valueParts(value: AttributeValue): Part[] {
  if (typeof value === 'number') return [varintField(3, value), varintField(20, 2)];
  if (typeof value === 'string') return [bytesField(4, value), varintField(20, 3)];
  if (Array.isArray(value)) {
    const isText = typeof value[0] === 'string';
    const all = value.map((one) => (isText ? bytesField(9, one) : varintField(8, one)));
    return [...all, varintField(20, isText ? 8 : 7)];
  }
  const named = value as Exclude<AttributeValue, number | string | readonly unknown[]>;
  if ('float' in named) return [floatField(2, named.float), varintField(20, 1)];
  if ('graph' in named) return [bytesField(6, graph(named.graph)), varintField(20, 5)];
  if ('tensor' in named) return [bytesField(5, tensor(named.tensor)), varintField(20, 4)];
  return [bytesField(21, named.reference), varintField(20, 2)];
}

function node(text: NodeText, index: number): Part[] {
  const attributes = Object.entries(text.at ?? {}).map(([name, value]) =>
    bytesField(5, [bytesField(1, name), ...valueParts(value)]),
  );
  return [
    ...text.in.map((name) => bytesField(1, name)),
    ...text.out.map((name) => bytesField(2, name)),
    bytesField(3, `n${index}`),
    bytesField(4, text.op),
    ...attributes,
    bytesField(7, text.domain ?? ''),
  ];
}

function port(name: string, type: TypeName, dims: Dims): Part[] {
  const sizes = dims.map((size) =>
    bytesField(1, typeof size === 'number' ? [varintField(1, size)] : [bytesField(2, size)]),
  );
  const shape = [varintField(1, TYPES[type]), bytesField(2, sizes)];
  return [bytesField(1, name), bytesField(2, [bytesField(1, shape)])];
}

function graph(text: GraphText): Part[] {
  return [
    ...text.nodes.map((one, index) => bytesField(1, node(one, index))),
    bytesField(2, 'graph'),
    ...Object.entries(text.constants ?? {}).map(([name, one]) => bytesField(5, tensor(one, name))),
    ...Object.entries(text.inputs ?? {}).map(([name, one]) => bytesField(11, port(name, ...one))),
    ...Object.entries(text.outputs).map(([name, one]) => bytesField(12, port(name, ...one))),
  ];
}

const opsets = (opset: number): Part[] =>
  [
    ['', opset],
    ['ai.onnx.ml', 3],
    ['local', 1],
  ].map(([domain, version]) =>
    bytesField(8, [bytesField(1, String(domain)), varintField(2, Number(version))]),
  );

function functionParts(text: FunctionText, opset: number): Part[] {
  return [
    bytesField(1, text.name),
    ...text.in.map((name) => bytesField(4, name)),
    ...text.out.map((name) => bytesField(5, name)),
    ...text.nodes.map((one, index) => bytesField(7, node(one, index))),
    bytesField(9, [bytesField(1, ''), varintField(2, opset)]),
    bytesField(10, text.domain),
  ];
}

/** The bytes of a file. */
export function onnxFile({ opset = 18, functions = [], ...text }: FileText): Buffer {
  return Buffer.concat([
    varintField(1, 8),
    bytesField(7, graph(text)),
    ...opsets(opset),
    ...functions.map((one) => bytesField(25, functionParts(one, opset))),
  ]);
}

export const ints = (...data: readonly number[]): Constant => ({ dims: [data.length], data });
export const weights = (...dims: readonly number[]): Constant => ({
  dims,
  type: 'float',
  data: Array.from({ length: dims.reduce((all, one) => all * one, 1) }, (_, at) => at / 7),
});
