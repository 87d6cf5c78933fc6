import { bytesField, varintField } from '../wire';

// Messages of onnx.proto that are added to a file: NodeProto, AttributeProto, TensorProto,
// GraphProto.

/** `TensorProto.DataType` */
export const INT32 = 6;
export const INT64 = 7;

const TENSOR = { dims: 1, type: 2, [INT32]: 5, [INT64]: 7 } as const;

/** A node of a graph: field 1 of it. */
export function node(
  operator: string,
  inputs: readonly string[],
  outputs: readonly string[],
  ...attributes: readonly Uint8Array[]
): Uint8Array {
  return bytesField(1, [
    ...inputs.map((name) => bytesField(1, name)),
    ...outputs.map((name) => bytesField(2, name)),
    bytesField(4, operator),
    ...attributes,
  ]);
}

export const integerAttribute = (name: string, value: number): Uint8Array =>
  bytesField(5, [bytesField(1, name), varintField(3, value), varintField(20, 2)]);

export const castTo = (type: number): Uint8Array => integerAttribute('to', type);

/** A constant: a scalar, or a list of one. */
export function constant(
  name: string,
  value: number,
  kind: 'scalar' | 'list',
  type: typeof INT32 | typeof INT64 = INT64,
): Uint8Array {
  const dims = kind === 'list' ? [varintField(TENSOR.dims, 1)] : [];
  const tensor = [...dims, varintField(TENSOR.type, type), varintField(TENSOR[type], value)];
  const held = bytesField(5, [bytesField(1, 'value'), bytesField(5, tensor), varintField(20, 4)]);
  return node('Constant', [], [name], held);
}

/** A graph as an attribute. */
export const branch = (
  name: string,
  nodes: readonly Uint8Array[],
  outputs: readonly string[],
): Uint8Array =>
  bytesField(5, [
    bytesField(1, name),
    bytesField(6, [
      ...nodes,
      bytesField(2, name),
      ...outputs.map((output) => bytesField(12, [bytesField(1, output)])),
    ]),
    varintField(20, 5),
  ]);
