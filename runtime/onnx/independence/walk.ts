import type { Field } from '../wire';
import { fieldsOf, textOf } from '../wire';
import { attributeFields, constantNode, nodeOf } from './node';
import type { Subgraph, GraphScope } from './scope';
import type { Attribute, Attributes, Node } from './node';
import { ifNode, loopNode, scanNode } from './control';
import { carriesSizes, isRepeatable, ruleOf, takesSizes } from './rules';
import { FIXED, isFixed, isMixed, NotRowwise } from './value';
import type { RowwiseValue, Value } from './value';

/** Field numbers of onnx.proto: FunctionProto. */
const FUNCTION = {
  name: 1,
  input: 4,
  output: 5,
  attribute: 6,
  node: 7,
  opset: 9,
  domain: 10,
  default: 11,
};

/** Deeper nesting of graphs is not analysed. */
const MAX_DEPTH = 16;

/** Attributes with those of the function's caller in their places. */
function attributesIn({ given }: GraphScope, own: Attributes): Attributes {
  const all = new Map<string, Attribute>();
  for (const [name, attribute] of own) {
    const found = attribute.reference === '' ? attribute : given.get(attribute.reference);
    if (found !== undefined) all.set(name, found);
  }
  return all;
}

const whereIs = ({ operator, name }: Node): string =>
  name === '' ? `a node ${operator}` : `the node ${operator} '${name.slice(0, 100)}'`;

/** The outputs of a node none of whose inputs mixes rows. @throws NotRowwise */
function outputsOf(
  scope: GraphScope,
  node: Node,
  inputs: readonly (RowwiseValue | undefined)[],
): readonly Value[] {
  const { domain, operator } = node;
  const called = scope.functions.get(`${domain}:${operator}`);
  if (called !== undefined) return callFunction(scope, called, node, inputs);
  if (domain === '' && operator === 'Constant') return [constantNode(scope.bytes, node)];
  if (domain === '' && operator === 'If') return ifNode(scope, node, inputs);
  if (domain === '' && operator === 'Loop') return loopNode(scope, node, inputs);
  if (domain === '' && operator === 'Scan') return scanNode(scope, node, inputs);
  return plainOutputs(scope, node, inputs);
}

const isSize = (value: RowwiseValue | undefined): boolean =>
  value?.elements?.includes('rows') === true;

function plainOutputs(
  scope: GraphScope,
  node: Node,
  inputs: readonly (RowwiseValue | undefined)[],
) {
  const { domain, operator } = node;
  const rule = ruleOf(domain, operator);
  const isConstant = inputs.every(isFixed) && isRepeatable(domain, operator);
  if (rule === undefined && !isConstant) throw new NotRowwise('it is not known to keep rows apart');
  const sizes = inputs.flatMap((input, at) => (isSize(input) ? [at] : []));
  const carried = sizes.filter((at) => !takesSizes(operator, at));
  const isRead = operator === 'Shape' || carriesSizes(operator);
  if (domain !== '' || !isRead) {
    if (carried.length > 0) throw new NotRowwise('it calculates with the number of rows');
  }
  let outputs: readonly RowwiseValue[];
  try {
    const opset = scope.opsets.get(domain) ?? 0;
    outputs = rule?.({ node, inputs, opset }) ?? node.outputs.map(() => FIXED);
  } catch (error) {
    if (!isConstant || !(error instanceof NotRowwise)) throw error;
    outputs = node.outputs.map(() => FIXED);
  }
  if (operator !== 'Shape' && carried.length > 0 && outputs[0]?.elements === undefined) {
    throw new NotRowwise('it calculates with the number of rows');
  }
  return outputs;
}

/** Walks the nodes of a graph in their order, which is topological. */
function walked(scope: GraphScope, nodes: readonly Node[], known: ReadonlyMap<string, Value>) {
  if (scope.depth > MAX_DEPTH) throw new NotRowwise('graphs are nested too deeply in it');
  const values = new Map([...scope.values, ...known]);
  const inside: GraphScope = { ...scope, values, depth: scope.depth + 1 };
  for (const stated of nodes) {
    const node = { ...stated, attributes: attributesIn(scope, stated.attributes) };
    const given = node.inputs.map((name) => (name === '' ? undefined : read(values, name)));
    const outputs = nodeValues(inside, node, given);
    node.outputs.forEach((name, at) => {
      values.set(name, outputs[at] ?? { mixed: `${whereIs(node)} gives more than is known of it` });
    });
  }
  return values;
}

const read = (values: ReadonlyMap<string, Value>, name: string): Value =>
  values.get(name) ?? { mixed: `'${name.slice(0, 100)}' is not a value of the graph` };

function nodeValues(scope: GraphScope, node: Node, given: readonly Value[]): readonly Value[] {
  const mixed = given.find(isMixed);
  if (mixed !== undefined) return node.outputs.map(() => mixed);
  try {
    return outputsOf(scope, node, given as readonly (RowwiseValue | undefined)[]);
  } catch (error) {
    if (!(error instanceof NotRowwise)) throw error;
    const reason = { mixed: `${whereIs(node)}: ${error.message}` };
    return node.outputs.map(() => reason);
  }
}

/** The outputs of a graph in a node, whose inputs are given. */
export function bodyValues(
  scope: GraphScope,
  body: Subgraph,
  given: readonly Value[],
): readonly Value[] {
  const known = new Map<string, Value>(body.constants);
  body.inputs.forEach((name, at) => known.set(name, given[at]));
  const values = walked(scope, body.nodes, known);
  return body.outputs.map((name) => read(values, name));
}

function functionOf(bytes: Uint8Array, at: Field) {
  const inputs: string[] = [];
  const outputs: string[] = [];
  const nodes: Node[] = [];
  const defaults = new Map<string, Attribute>();
  const opsets = new Map<string, number>();
  for (const field of fieldsOf(bytes, at.start, at.end)) {
    if (field.number === FUNCTION.input) inputs.push(textOf(bytes, field));
    if (field.number === FUNCTION.output) outputs.push(textOf(bytes, field));
    if (field.number === FUNCTION.node) nodes.push(nodeOf(bytes, field));
    if (field.number === FUNCTION.default) defaults.set(...attributeFields(bytes, field));
    if (field.number === FUNCTION.opset) opsets.set(...opsetOf(bytes, field));
  }
  return { inputs, outputs, nodes, defaults, opsets };
}

export function opsetOf(bytes: Uint8Array, entry: Field): [string, number] {
  let domain = '';
  let version = 0;
  for (const field of fieldsOf(bytes, entry.start, entry.end)) {
    if (field.number === 1) domain = textOf(bytes, field);
    if (field.number === 2) version = field.value;
  }
  return [domain === 'ai.onnx' ? '' : domain, version];
}

/** The key of a function: its domain and name. */
export function functionKey(bytes: Uint8Array, at: Field): string {
  let name = '';
  let domain = '';
  for (const field of fieldsOf(bytes, at.start, at.end)) {
    if (field.number === FUNCTION.name) name = textOf(bytes, field);
    if (field.number === FUNCTION.domain) domain = textOf(bytes, field);
  }
  return `${domain === 'ai.onnx' ? '' : domain}:${name}`;
}

function callFunction(
  scope: GraphScope,
  at: Field,
  { attributes }: Node,
  inputs: readonly Value[],
) {
  const { inputs: names, outputs, nodes, defaults, opsets } = functionOf(scope.bytes, at);
  const inner: GraphScope = {
    ...scope,
    values: new Map(),
    opsets: new Map([...scope.opsets, ...opsets]),
    given: new Map([...defaults, ...attributes]),
  };
  const values = walked(inner, nodes, new Map(names.map((name, i) => [name, inputs[i]])));
  return outputs.map((name) => read(values, name));
}
