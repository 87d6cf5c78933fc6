import type { Field } from '../wire';
import { fieldsOf, textOf } from '../wire';
import { constantOf, nodeOf } from './node';
import type { Attributes, Node } from './node';
import { FIXED } from './value';
import type { RowwiseValue, Value } from './value';

/** Field numbers of onnx.proto: GraphProto. */
const GRAPH = { node: 1, constant: 5, input: 11, output: 12, sparse: 15 } as const;

/** The surroundings of a node. */
export interface GraphScope {
  readonly bytes: Uint8Array;
  readonly values: ReadonlyMap<string, Value>;
  readonly opsets: ReadonlyMap<string, number>;
  readonly functions: ReadonlyMap<string, Field>;
  /** Attributes of the call, inside of a function. */
  readonly given: Attributes;
  readonly depth: number;
  /** The outputs of a graph in a node, whose inputs are given. */
  readonly valuesOf: (
    scope: GraphScope,
    body: Subgraph,
    given: readonly Value[],
  ) => readonly Value[];
}

function nameOf(bytes: Uint8Array, value: Field): string {
  for (const field of fieldsOf(bytes, value.start, value.end)) {
    if (field.number === 1) return textOf(bytes, field);
  }
  return '';
}

/** A graph in a node, taken apart. */
export interface Subgraph {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly outputFields: readonly Field[];
  readonly nodes: readonly Node[];
  readonly constants: ReadonlyMap<string, RowwiseValue>;
}

/** A sparse constant: its name is that of its values. */
function sparseName(bytes: Uint8Array, sparse: Field): string {
  for (const field of fieldsOf(bytes, sparse.start, sparse.end)) {
    if (field.number === 1) return constantOf(bytes, field).name;
  }
  return '';
}

export function subgraphOf(bytes: Uint8Array, graph: Field): Subgraph {
  const inputs: string[] = [];
  const outputFields: Field[] = [];
  const nodes: Node[] = [];
  const constants = new Map<string, RowwiseValue>();
  for (const field of fieldsOf(bytes, graph.start, graph.end)) {
    if (field.number === GRAPH.node) nodes.push(nodeOf(bytes, field));
    if (field.number === GRAPH.input) inputs.push(nameOf(bytes, field));
    if (field.number === GRAPH.output) outputFields.push(field);
    if (field.number === GRAPH.sparse) constants.set(sparseName(bytes, field), FIXED);
    if (field.number === GRAPH.constant) {
      const { name, value } = constantOf(bytes, field);
      constants.set(name, value);
    }
  }
  const outputs = outputFields.map((field) => nameOf(bytes, field));
  return { inputs, outputs, outputFields, nodes, constants };
}
