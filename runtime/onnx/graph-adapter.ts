import { listsOf } from './graph';
import { tryFindByOnnx } from './element-type';
import { castTo, integerAttribute, node } from './guards/build';
import { bytesField, fieldsOf, rawOf, textOf, varintField } from './wire';
import type { Graph, GraphNode, GraphValue, ValueType } from './graph';
import type { Field } from './wire';

// ONNX Runtime's binding for Node takes and returns tensors only. Other values of a graph are
// converted in the bytes of the file before the session is made:
//   ZipMap (a sequence of maps, scikit-learn's output) -> the probabilities it was made from
//   a sequence of tensors -> the tensors stacked on a new first axis
//   BFLOAT16 -> FP32 by a Cast, both ways

const FLOAT = 1;
const BFLOAT16 = 16;
/** Appended to the inner name of a value whose outer form changed; exporters do not use such names. */
const INNER = '__inner';
/** Nodes added here need a default operator set; Identity, Cast and ConcatFromSequence are all in it. */
const DEFAULT_OPSET = 13;

/** The bytes to make the session of, and the class labels of outputs that were maps. */
export interface AdaptedGraph {
  readonly bytes: Uint8Array;
  readonly classes: ReadonlyMap<string, readonly (string | bigint)[]>;
}

/** Everything that is to change in one graph. */
interface Plan {
  readonly renames: Map<string, string>;
  readonly removed: Set<GraphNode>;
  /** New types of inputs and outputs, by name. */
  readonly types: Map<string, { element: number; shape: readonly number[] | undefined }>;
  readonly before: Uint8Array[];
  readonly after: Uint8Array[];
  readonly classes: Map<string, (string | bigint)[]>;
}

function describe(type: ValueType): string {
  if (type.kind === 'sequence') return `a sequence of ${describe(type.of)}s`;
  return type.kind === 'tensor'
    ? `a tensor of ONNX element type ${type.element}`
    : `a ${type.kind}`;
}

const cannot = (what: string, value: GraphValue, fix: string): Error =>
  new Error(`${what} '${value.name}' is ${describe(value.type)}, which cannot be served; ${fix}`);

function unzip(bytes: Uint8Array, graph: Graph, output: GraphValue, plan: Plan): void {
  const zip = graph.nodes.find((each) => each.outputs.includes(output.name));
  const source = zip?.inputs[0];
  if (zip === undefined || source === undefined || zip.operator !== 'ZipMap') {
    throw cannot('output', output, 'only the maps that ZipMap makes can be turned into a tensor');
  }
  const lists = listsOf(bytes, zip);
  const strings = lists.get('classlabels_strings') ?? [];
  const labels = strings.length > 0 ? strings : (lists.get('classlabels_int64s') ?? []);
  plan.removed.add(zip);
  plan.after.push(node('Identity', [source], [output.name]));
  plan.types.set(output.name, { element: FLOAT, shape: [-1, labels.length] });
  plan.classes.set(output.name, labels);
}

function stack(output: GraphValue, of: ValueType & { kind: 'tensor' }, plan: Plan): void {
  const inner = `${output.name}${INNER}`;
  plan.renames.set(output.name, inner);
  const attributes = [integerAttribute('axis', 0), integerAttribute('new_axis', 1)];
  plan.after.push(node('ConcatFromSequence', [inner], [output.name], ...attributes));
  const shape = of.shape === undefined ? undefined : [-1, ...of.shape];
  plan.types.set(output.name, { element: of.element, shape });
}

function widen(value: GraphValue, plan: Plan, direction: 'in' | 'out'): void {
  if (value.type.kind !== 'tensor') return;
  const inner = `${value.name}${INNER}`;
  plan.renames.set(value.name, inner);
  plan.types.set(value.name, { element: FLOAT, shape: value.type.shape });
  if (direction === 'in') plan.before.push(node('Cast', [value.name], [inner], castTo(BFLOAT16)));
  else plan.after.push(node('Cast', [inner], [value.name], castTo(FLOAT)));
}

function planInput(input: GraphValue, plan: Plan): void {
  const { type } = input;
  if (type.kind !== 'tensor') throw cannot('input', input, 'export the model with tensor inputs');
  if (type.element === BFLOAT16) widen(input, plan, 'in');
  else if (tryFindByOnnx(type.element) === undefined) {
    throw cannot('input', input, 'put a Cast behind it when exporting');
  }
}

function planOutput(bytes: Uint8Array, graph: Graph, output: GraphValue, plan: Plan): void {
  const { type } = output;
  if (type.kind === 'sequence' && type.of.kind === 'map') return unzip(bytes, graph, output, plan);
  if (type.kind === 'sequence' && type.of.kind === 'tensor') {
    if (tryFindByOnnx(type.of.element) !== undefined) return stack(output, type.of, plan);
  }
  if (type.kind !== 'tensor') {
    throw cannot('output', output, 'export the model with tensors as outputs');
  }
  if (type.element === BFLOAT16) widen(output, plan, 'out');
  else if (tryFindByOnnx(type.element) === undefined) {
    throw cannot('output', output, 'put a Cast before it when exporting');
  }
}

function typed(
  value: GraphValue,
  { element, shape }: { element: number; shape: readonly number[] | undefined },
  field: number,
): Uint8Array {
  const dims = shape?.map((size) => bytesField(1, size < 0 ? [] : [varintField(1, size)]));
  const tensor = [varintField(1, element), ...(dims === undefined ? [] : [bytesField(2, dims)])];
  return bytesField(field, [bytesField(1, value.name), bytesField(2, [bytesField(1, tensor)])]);
}

/** A node with the names of its values changed, in its subgraphs too (ONNX allows no shadowing). */
function renamed(
  bytes: Uint8Array,
  message: Field,
  plan: Plan,
  kind: 'node' | 'graph',
): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const field of fieldsOf(bytes, message.start, message.end)) {
    const raw = rawOf(bytes, field);
    if (kind === 'graph') {
      parts.push(field.number === 1 ? renamed(bytes, field, plan, 'node') : raw);
    } else if (field.number === 1 || field.number === 2) {
      const to = plan.renames.get(textOf(bytes, field));
      parts.push(to === undefined ? raw : bytesField(field.number, to));
    } else parts.push(field.number === 5 ? renamedAttribute(bytes, field, plan) : raw);
  }
  return bytesField(message.number, parts);
}

function renamedAttribute(bytes: Uint8Array, attribute: Field, plan: Plan): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const field of fieldsOf(bytes, attribute.start, attribute.end)) {
    const isGraph = field.number === 6 || field.number === 11;
    parts.push(isGraph ? renamed(bytes, field, plan, 'graph') : rawOf(bytes, field));
  }
  return bytesField(5, parts);
}

/** The fields of the graph, changed as planned. Nodes stay in an order that is topological. */
function adaptedGraph(bytes: Uint8Array, graph: Graph, plan: Plan): Uint8Array {
  const values = new Map(
    [...graph.inputs, ...graph.outputs].map((value) => [value.field.tag, value]),
  );
  const removed = new Set(Array.from(plan.removed, ({ field }) => field.tag));
  const parts: Uint8Array[] = [...plan.before];
  for (const field of fieldsOf(bytes, graph.field.start, graph.field.end)) {
    const value = values.get(field.tag);
    const type = value === undefined ? undefined : plan.types.get(value.name);
    if (value !== undefined && type !== undefined) parts.push(typed(value, type, field.number));
    else if (field.number === 1) {
      if (!removed.has(field.tag)) parts.push(renamed(bytes, field, plan, 'node'));
    } else if (field.number !== 13) parts.push(rawOf(bytes, field));
    // 13 is value_info, hints about inner values: stale after a rename, and inferred anew anyway.
  }
  return bytesField(7, [...parts, ...plan.after]);
}

/**
 * Makes every input and output of a model a tensor. Gives undefined when they are already.
 * Throws an Error that names the type that cannot be served.
 */
export function adaptGraph(bytes: Uint8Array, graph: Graph): AdaptedGraph | undefined {
  const plan: Plan = {
    renames: new Map(),
    removed: new Set(),
    types: new Map(),
    before: [],
    after: [],
    classes: new Map(),
  };
  for (const input of graph.inputs) planInput(input, plan);
  for (const output of graph.outputs) planOutput(bytes, graph, output, plan);
  if (plan.types.size === 0) return undefined;
  const parts: Uint8Array[] = [];
  for (const field of fieldsOf(bytes)) {
    if (field.number !== 7) parts.push(rawOf(bytes, field));
  }
  if (graph.opset === 0)
    parts.push(bytesField(8, [bytesField(1, ''), varintField(2, DEFAULT_OPSET)]));
  parts.push(adaptedGraph(bytes, graph, plan));
  return { bytes: Buffer.concat(parts), classes: plan.classes };
}
