import type { Graph } from '../graph';
import { fieldsOf } from '../wire';
import type { Field } from '../wire';
import { isMixed, rowAxisOf, rowwise } from './value';
import type { Value } from './value';
import { subgraphOf } from './scope';
import type { GraphScope } from './scope';
import { bodyValues, functionKey, opsetOf } from './walk';

/** Whether each row of the outputs depends on its own row of the inputs only, and if not, why not. */
export type Independence =
  { readonly isShown: true } | { readonly isShown: false; readonly reason: string };

/** Field numbers of onnx.proto: ModelProto. */
const MODEL = { graph: 7, opset: 8, function: 25 } as const;

const no = (reason: string): Independence => ({ isShown: false, reason });

function inputValue(shape: readonly number[] | undefined): Value {
  if (shape?.[0] !== -1) return { mixed: 'an input has no leading dimension of any size' };
  return rowwise(shape.map((size, axis) => (axis === 0 ? 'rows' : size < 0 ? 'other' : size)));
}

function judge(name: string, value: Value): Independence | undefined {
  if (value === undefined) return no(`there is no output '${name}'`);
  if (isMixed(value)) return no(value.mixed);
  if (rowAxisOf(value) !== 0) return no(`the output '${name}' does not have the rows in front`);
  return undefined;
}

/**
 * Proves by the graph alone that it works row by row: every node on the way from inputs to outputs
 * has an operator that is known to do so, with axes that leave the rows alone. Unknown operators
 * prove nothing. Pure.
 */
export function independenceOf(bytes: Uint8Array, graph: Graph): Independence {
  try {
    return walkedFrom(bytes, graph);
  } catch (error) {
    return no(error instanceof Error ? error.message : String(error));
  }
}

function walkedFrom(bytes: Uint8Array, graph: Graph): Independence {
  const functions = new Map<string, Field>();
  const opsets = new Map<string, number>();
  let graphs = 0;
  for (const field of fieldsOf(bytes)) {
    if (field.number === MODEL.graph) graphs += 1;
    if (field.number === MODEL.opset) opsets.set(...opsetOf(bytes, field));
    if (field.number !== MODEL.function) continue;
    const key = functionKey(bytes, field);
    if (functions.has(key)) return no(`the file holds two functions '${key}'`);
    functions.set(key, field);
  }
  if (graphs !== 1) return no('the file holds several graphs');
  const body = subgraphOf(bytes, graph.field);
  const shapes = new Map(
    graph.inputs.map(({ name, type }) => [name, type.kind === 'tensor' ? type.shape : undefined]),
  );
  const given = body.inputs.map((name) =>
    shapes.has(name) ? inputValue(shapes.get(name)) : body.constants.get(name),
  );
  const scope: GraphScope = {
    bytes,
    opsets,
    functions,
    values: new Map(),
    given: new Map(),
    depth: 0,
    valuesOf: bodyValues,
  };
  const outputs = bodyValues(scope, body, given);
  for (const [at, name] of body.outputs.entries()) {
    const found = judge(name, outputs[at]);
    if (found !== undefined) return found;
  }
  return body.outputs.length === 0 ? no('it has no outputs') : { isShown: true };
}
