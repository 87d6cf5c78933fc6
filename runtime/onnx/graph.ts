import { fieldsOf, integersOf, textOf } from './wire';
import type { Field } from './wire';

// Field numbers of onnx.proto: ModelProto, GraphProto, NodeProto, ValueInfoProto, TypeProto.
const MODEL = { graph: 7, opset: 8, metadata: 14 } as const;
const GRAPH = { node: 1, initializer: 5, input: 11, output: 12, sparseInitializer: 15 } as const;
const NODE = { input: 1, output: 2, name: 3, operator: 4, attribute: 5, domain: 7 } as const;
const TYPE = { tensor: 1, sequence: 4, map: 5, sparse: 8, optional: 9 } as const;

/**
 * Type of a graph input or output. Shape: -1 for a dynamic dimension, undefined when no rank is
 * stated.
 */
export type ValueType =
  | {
      readonly kind: 'tensor';
      readonly element: number;
      readonly shape: readonly number[] | undefined;
    }
  | { readonly kind: 'sequence'; readonly of: ValueType }
  | { readonly kind: 'map' | 'sparse tensor' | 'optional' | 'unknown' };

export interface GraphValue {
  readonly name: string;
  readonly type: ValueType;
  /** Its place in the file. */
  readonly field: Field;
}

export interface GraphNode {
  readonly operator: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly field: Field;
}

/** The used parts of an ONNX file. */
export interface Graph {
  readonly inputs: readonly GraphValue[];
  readonly outputs: readonly GraphValue[];
  readonly nodes: readonly GraphNode[];
  /** Version of the default operator set. */
  readonly opset: number;
  readonly metadata: ReadonlyMap<string, string>;
  /** The GraphProto in the ModelProto. */
  readonly field: Field;
  /** Are some of the weights in files beside it? */
  readonly external: boolean;
}

function dimension(bytes: Uint8Array, dim: Field): number {
  for (const field of fieldsOf(bytes, dim.start, dim.end)) {
    if (field.number === 1 && field.wire === 0) return Number(integersOf(bytes, field)[0]);
  }
  return -1;
}

function tensorType(bytes: Uint8Array, type: Field): ValueType {
  let element = 0;
  let shape: number[] | undefined;
  for (const field of fieldsOf(bytes, type.start, type.end)) {
    if (field.number === 1) element = field.value;
    if (field.number === 2) {
      shape = Array.from(fieldsOf(bytes, field.start, field.end))
        .filter((dim) => dim.number === 1)
        .map((dim) => dimension(bytes, dim));
    }
  }
  return { kind: 'tensor', element, shape };
}

function valueType(bytes: Uint8Array, type: Field): ValueType {
  for (const field of fieldsOf(bytes, type.start, type.end)) {
    if (field.number === TYPE.tensor) return tensorType(bytes, field);
    if (field.number === TYPE.map) return { kind: 'map' };
    if (field.number === TYPE.sparse) return { kind: 'sparse tensor' };
    if (field.number === TYPE.optional) return { kind: 'optional' };
    if (field.number === TYPE.sequence) {
      const inner = Array.from(fieldsOf(bytes, field.start, field.end)).find((f) => f.number === 1);
      return {
        kind: 'sequence',
        of: inner === undefined ? { kind: 'unknown' } : valueType(bytes, inner),
      };
    }
  }
  return { kind: 'unknown' };
}

/** A ValueInfoProto. */
export function graphValue(bytes: Uint8Array, value: Field): GraphValue {
  let name = '';
  let type: ValueType = { kind: 'unknown' };
  for (const field of fieldsOf(bytes, value.start, value.end)) {
    if (field.number === 1) name = textOf(bytes, field);
    if (field.number === 2) type = valueType(bytes, field);
  }
  return { name, type, field: value };
}

function graphNode(bytes: Uint8Array, node: Field): GraphNode {
  const inputs: string[] = [];
  const outputs: string[] = [];
  let operator = '';
  let domain = '';
  for (const field of fieldsOf(bytes, node.start, node.end)) {
    if (field.number === NODE.input) inputs.push(textOf(bytes, field));
    if (field.number === NODE.output) outputs.push(textOf(bytes, field));
    if (field.number === NODE.operator) operator = textOf(bytes, field);
    if (field.number === NODE.domain) domain = textOf(bytes, field);
  }
  return { operator, domain, inputs, outputs, field: node };
}

/** Attributes of a node that are lists, by name. */
export function listsOf(
  bytes: Uint8Array,
  node: GraphNode,
): ReadonlyMap<string, (string | bigint)[]> {
  const lists = new Map<string, (string | bigint)[]>();
  for (const attribute of fieldsOf(bytes, node.field.start, node.field.end)) {
    if (attribute.number !== NODE.attribute) continue;
    let name = '';
    const values: (string | bigint)[] = [];
    for (const field of fieldsOf(bytes, attribute.start, attribute.end)) {
      if (field.number === 1) name = textOf(bytes, field);
      if (field.number === 8) values.push(...integersOf(bytes, field));
      if (field.number === 9) values.push(textOf(bytes, field));
    }
    lists.set(name, values);
  }
  return lists;
}

function tensorName(bytes: Uint8Array, tensor: Field): { name: string; external: boolean } {
  let name = '';
  let external = false;
  for (const field of fieldsOf(bytes, tensor.start, tensor.end)) {
    if (field.number === 8) name = textOf(bytes, field);
    if (field.number === 14 && field.wire === 0) external = field.value === 1;
  }
  return { name, external };
}

function pair(bytes: Uint8Array, entry: Field): [string, string] {
  let key = '';
  let value = '';
  for (const field of fieldsOf(bytes, entry.start, entry.end)) {
    if (field.number === 1) key = textOf(bytes, field);
    if (field.number === 2) value = textOf(bytes, field);
  }
  return [key, value];
}

function defaultOpset(bytes: Uint8Array, entry: Field): number {
  let version = 0;
  for (const field of fieldsOf(bytes, entry.start, entry.end)) {
    if (field.number === 1 && field.end > field.start && textOf(bytes, field) !== 'ai.onnx')
      return 0;
    if (field.number === 2) version = field.value;
  }
  return version;
}

function graphParts(bytes: Uint8Array, graph: Field): Omit<Graph, 'opset' | 'metadata'> {
  const inputs: GraphValue[] = [];
  const outputs: GraphValue[] = [];
  const nodes: GraphNode[] = [];
  const constants = new Set<string>();
  let external = false;
  for (const field of fieldsOf(bytes, graph.start, graph.end)) {
    if (field.number === GRAPH.node) nodes.push(graphNode(bytes, field));
    if (field.number === GRAPH.input) inputs.push(graphValue(bytes, field));
    if (field.number === GRAPH.output) outputs.push(graphValue(bytes, field));
    if (field.number === GRAPH.initializer) {
      const tensor = tensorName(bytes, field);
      constants.add(tensor.name);
      external ||= tensor.external;
    }
  }
  // Old exporters also list the weights as inputs, which are never fed.
  const fed = inputs.filter((input) => !constants.has(input.name));
  return { inputs: fed, outputs, nodes, field: graph, external };
}

/** Reads an ONNX file (a ModelProto). Throws ProtoError, or an Error when it has no graph. */
export function readGraph(bytes: Uint8Array): Graph {
  let graph: Field | undefined;
  let opset = 0;
  const metadata = new Map<string, string>();
  for (const field of fieldsOf(bytes)) {
    if (field.number === MODEL.graph && field.wire === 2) graph = field;
    if (field.number === MODEL.opset) opset = Math.max(opset, defaultOpset(bytes, field));
    if (field.number === MODEL.metadata) metadata.set(...pair(bytes, field));
  }
  if (graph === undefined) throw new Error('it holds no graph');
  return { ...graphParts(bytes, graph), opset, metadata };
}
