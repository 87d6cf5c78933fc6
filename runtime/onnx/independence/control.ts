import { fieldsOf } from '../wire';
import type { Field } from '../wire';
import { numberAt, numbersAt } from './node';
import type { Node } from './node';
import { isRepeatable } from './rules';
import {
  axisOf,
  common,
  dimsOf,
  fixed,
  FIXED,
  isFixed,
  isMixed,
  NotRowwise,
  rowAxisOf,
  rowwise,
} from './value';
import type { RowwiseValue, Size, Value } from './value';
import { subgraphOf } from './scope';
import type { Subgraph, GraphScope } from './scope';

// Graphs in nodes: branches and loops.

type Inputs = readonly (RowwiseValue | undefined)[];

function graphAt({ bytes }: GraphScope, { attributes }: Node, name: string): Subgraph {
  const graph = attributes.get(name)?.graphs[0];
  if (graph === undefined) throw new NotRowwise(`it has no ${name}`);
  return subgraphOf(bytes, graph);
}

export function ifNode(scope: GraphScope, node: Node, [condition]: Inputs): readonly Value[] {
  fixed(condition, 'condition');
  const [yes, no] = ['then_branch', 'else_branch'].map((name) =>
    scope.valuesOf(scope, graphAt(scope, node, name), []),
  );
  return node.outputs.map((_, at) => common(yes?.[at], no?.[at]));
}

/** Sizes that change from turn to turn settle after so many turns, or are not followed. */
const MAX_TURNS = 8;

const isSame = (a: Value, b: Value): boolean => JSON.stringify(a) === JSON.stringify(b);

export function loopNode(scope: GraphScope, node: Node, inputs: Inputs): readonly Value[] {
  const [count, condition, ...first] = inputs;
  fixed(count, 'number of turns');
  fixed(condition, 'condition');
  const body = graphAt(scope, node, 'body');
  let states: readonly Value[] = first;
  for (let turn = 0; turn < MAX_TURNS; turn += 1) {
    const turned = scope.valuesOf(scope, body, [{ dims: [] }, { dims: [] }, ...states]);
    const [goesOn, ...after] = turned;
    if (isMixed(goesOn)) throw new NotRowwise(goesOn.mixed);
    fixed(goesOn, 'condition');
    const next = states.map((state, at) => common(state, after[at]));
    if (next.every((state, at) => isSame(state, states[at]))) {
      return [...states, ...after.slice(states.length).map((one) => stacked(one, 0))];
    }
    states = next;
  }
  throw new NotRowwise('its states take another shape in each turn');
}

/** The values of all turns on an axis of their own. */
function stacked(value: Value, axis: number): Value {
  if (value === undefined || isMixed(value)) return value;
  if (isFixed(value)) return FIXED;
  const dims = dimsOf(value);
  const own = axisOf(axis, dims.length + 1);
  return rowwise([...dims.slice(0, own), 'other', ...dims.slice(own)]);
}

export function scanNode(scope: GraphScope, node: Node, inputs: Inputs): readonly Value[] {
  if ((scope.opsets.get('') ?? 0) < 9) throw new NotRowwise('it is of an old operator set');
  const body = graphAt(scope, node, 'body');
  const scans = numberAt(node.attributes, 'num_scan_inputs', 0);
  const first = inputs.slice(0, inputs.length - scans);
  const given = inputs.slice(first.length);
  const axes = given.map((value, at) => {
    const axis = numbersAt(node.attributes, 'scan_input_axes')?.[at] ?? 0;
    return value?.dims === undefined ? axis : axisOf(axis, value.dims.length);
  });
  const isByRow = given.some((value, at) => rowAxisOf(value) === axes[at] && value !== undefined);
  const hasRows = given.some((value) => rowAxisOf(value) !== undefined);
  if (isByRow && hasRows) return scanRows(scope, node, { body, first, given, axes });
  return scanOthers(scope, node, { body, first, given, axes });
}

interface Scan {
  readonly body: Subgraph;
  readonly first: Inputs;
  readonly given: Inputs;
  readonly axes: readonly number[];
}

/** A scan along an axis that is not the rows. */
function scanOthers(
  scope: GraphScope,
  node: Node,
  { body, first, given, axes }: Scan,
): readonly Value[] {
  const slices = given.map((value, at): Value =>
    value?.dims === undefined ? FIXED : { dims: value.dims.filter((_, axis) => axis !== axes[at]) },
  );
  let states: readonly Value[] = first;
  for (let turn = 0; turn < MAX_TURNS; turn += 1) {
    const after = scope.valuesOf(scope, body, [...states, ...slices]);
    const next = states.map((state, at) => common(state, after[at]));
    if (next.every((state, at) => isSame(state, states[at]))) {
      const outputAxes = numbersAt(node.attributes, 'scan_output_axes');
      const others = after.slice(states.length);
      return [...states, ...others.map((one, at) => stacked(one, outputAxes?.[at] ?? 0))];
    }
    states = next;
  }
  throw new NotRowwise('its states take another shape in each turn');
}

/**
 * A scan that takes row by row, as distances are computed. In a turn there is one row, so what is
 * done with it does not matter, as long as nothing is handed on to the next turn.
 */
function scanRows(
  scope: GraphScope,
  node: Node,
  { body, first, given, axes }: Scan,
): readonly Value[] {
  if (given.some((value, at) => rowAxisOf(value) !== axes[at])) {
    throw new NotRowwise('it brings rows together with values that are not of one row each');
  }
  const isTurned = [
    ...(numbersAt(node.attributes, 'scan_input_directions') ?? []),
    ...(numbersAt(node.attributes, 'scan_output_directions') ?? []),
  ].some((one) => one !== 0);
  if (isTurned) throw new NotRowwise('it goes through the rows backwards');
  first.forEach((state) => void fixed(state, 'state'));
  const handsOn = first.some((_, at) => sourceOf(body, body.outputs[at]) !== body.inputs[at]);
  if (handsOn) throw new NotRowwise('it hands something on from row to row');
  checkRow(scope, body);
  const outputAxes = numbersAt(node.attributes, 'scan_output_axes');
  const others = body.outputFields.slice(first.length).map((field, at) => {
    const rank = rankOf(scope.bytes, field);
    const axis = axisOf(outputAxes?.[at] ?? 0, rank + 1);
    const dims = Array<Size>(rank).fill('other');
    return rowwise([...dims.slice(0, axis), 'rows', ...dims.slice(axis)]);
  });
  return [...first, ...others];
}

/** Through nodes that change nothing. */
function sourceOf(
  { nodes }: Pick<Subgraph, 'nodes'>,
  name: string | undefined,
): string | undefined {
  const made = nodes.find(({ outputs }) => outputs[0] === name);
  if (made?.operator !== 'Identity' || made.domain !== '') return name;
  // Nodes are in topological order.
  return sourceOf({ nodes: nodes.slice(0, nodes.indexOf(made)) }, made.inputs[0]);
}

/** Everything in it is repeatable, and nothing with rows is taken from around it. */
function checkRow(scope: GraphScope, body: Subgraph): void {
  const own = new Set([...body.inputs, ...body.constants.keys()]);
  for (const { operator, domain, inputs, outputs, attributes } of body.nodes) {
    const isConstant = domain === '' && operator === 'Constant';
    const hasGraph = [...attributes.values()].some(({ graphs }) => graphs.length > 0);
    const isCalled = scope.functions.has(`${domain}:${operator}`);
    if (hasGraph || isCalled || (!isConstant && !isRepeatable(domain, operator))) {
      throw new NotRowwise(`${operator} in it is not known to keep rows apart`);
    }
    for (const name of inputs) {
      const around = own.has(name) || name === '' ? FIXED : scope.values.get(name);
      if (isMixed(around)) throw new NotRowwise(around.mixed);
      if (!isFixed(around)) throw new NotRowwise('it takes all rows into each of its turns');
    }
    for (const name of outputs) own.add(name);
  }
}

/** The rank that a graph states for one of its outputs. */
function rankOf(bytes: Uint8Array, value: Field): number {
  const inside = (field: Field | undefined, number: number): Field[] =>
    field === undefined
      ? []
      : Array.from(fieldsOf(bytes, field.start, field.end)).filter((one) => one.number === number);
  const [type] = inside(value, 2);
  const [tensor] = inside(type, 1);
  const [shape] = inside(tensor, 2);
  if (shape === undefined) throw new NotRowwise('the rank of its output is not stated');
  return inside(shape, 1).length;
}
