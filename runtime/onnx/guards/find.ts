import { graphValue } from '../graph';
import { constantNode, constantOf, nodeOf } from '../independence/node';
import type { Attribute, Node } from '../independence/node';
import type { RowwiseValue } from '../independence/value';
import { fieldsOf } from '../wire';
import type { Field } from '../wire';
import { INT32, INT64 } from './build';

/** A node at which ONNX Runtime may end the process. `type`: of the elements that are divided. */
export type Finding =
  { readonly kind: 'TopK' } | { readonly kind: 'division'; readonly type: number };

/** Field numbers of onnx.proto: GraphProto. */
const GRAPH = { node: 1, constant: 5, input: 11, output: 12, inner: 13 } as const;
const FLOAT = 1;
const BOOL = 9;

/** Operators that give what they get first. */
const SAME = new Set(
  (
    'Abs Add BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Clip Compress Concat CumSum Div ' +
    'Dropout Einsum Expand Flatten Gather GatherElements GatherND Gemm Identity MatMul Max Min Mod ' +
    'Mul Neg Pad Pow Range ReduceL1 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ' +
    'ReduceSumSquare Relu Reshape ReverseSequence ScatterElements ScatterND Sign Slice Split ' +
    'Squeeze Sub Sum Tile TopK Transpose Trilu Unsqueeze'
  ).split(' '),
);
/** And those that give what they get second. */
const SECOND = new Set(['Where', 'CastLike']);
/** Operators whose integers have one type, whatever goes in. */
const FIXED = new Map([
  ...['Shape', 'Size', 'NonZero', 'ArgMax', 'ArgMin', 'NonMaxSuppression'].map(
    (operator) => [operator, INT64] as const,
  ),
  ...['ConvInteger', 'MatMulInteger'].map((operator) => [operator, INT32] as const),
]);

type Types = readonly (number | undefined)[];

/** Looks through a file for nodes that need a guard, by the types of values as far as they follow. */
export class Finder {
  /** Nodes by their place. */
  readonly found = new Map<number, Finding>();
  private types = new Map<string, number>();
  private constants = new Map<string, RowwiseValue>();

  constructor(private readonly bytes: Uint8Array) {}

  /** @param nodeField number of the nodes' fields: functions have another one */
  look(at: Field, nodeField: number): void {
    this.types = new Map();
    this.constants = new Map();
    if (nodeField === GRAPH.node) return void this.graph(at, []);
    for (const field of fieldsOf(this.bytes, at.start, at.end)) {
      if (field.number === nodeField) this.node(field);
    }
  }

  /** @returns the types of its outputs */
  private graph(at: Field, given: Types): Types {
    const { bytes } = this;
    const inputs: string[] = [];
    const outputs: string[] = [];
    const nodes: Field[] = [];
    for (const field of fieldsOf(bytes, at.start, at.end)) {
      if (field.number === GRAPH.node) nodes.push(field);
      if (field.number === GRAPH.constant) this.constant(field);
      if (field.number === GRAPH.input) inputs.push(this.value(field));
      if (field.number === GRAPH.output) outputs.push(this.value(field));
      if (field.number === GRAPH.inner) this.value(field);
    }
    inputs.forEach((name, place) => this.learn(name, given[place]));
    for (const field of nodes) this.node(field);
    return outputs.map((name) => this.types.get(name));
  }

  private learn(name: string, type: number | undefined): void {
    if (type !== undefined && !this.types.has(name)) this.types.set(name, type);
  }

  private value(field: Field): string {
    const { name, type } = graphValue(this.bytes, field);
    if (type.kind === 'tensor' && type.element > 0) this.learn(name, type.element);
    return name;
  }

  private constant(field: Field): void {
    const { name, type, value } = constantOf(this.bytes, field);
    this.learn(name, type);
    this.constants.set(name, value);
  }

  private node(field: Field): void {
    const own = nodeOf(this.bytes, field);
    const inner = this.innerTypes(own);
    const { operator, inputs } = own;
    if (own.domain === '') {
      if (operator === 'TopK') this.found.set(field.tag, { kind: 'TopK' });
      if (operator === 'Div' || operator === 'Mod') this.division(field, inputs);
      if (operator === 'Constant') {
        this.constants.set(own.outputs[0] ?? '', constantNode(this.bytes, own));
      }
    }
    const given = inputs.map((name) => this.types.get(name));
    own.outputs.forEach((name, place) => {
      const type = own.domain === '' ? this.outputType(own, given, place) : undefined;
      this.learn(name, inner[place] ?? type);
    });
  }

  /** Integers whose divisor may be −1. */
  private division(field: Field, [a = '', b = '']: readonly string[]): void {
    const type = this.types.get(a) ?? this.types.get(b);
    const divisors = this.constants.get(b)?.elements;
    const isSafe = divisors !== undefined && !divisors.includes(-1);
    if ((type === INT32 || type === INT64) && !isSafe) {
      this.found.set(field.tag, { kind: 'division', type });
    }
  }

  /** Looks through the graphs in a node. @returns the types of the node's outputs by theirs */
  private innerTypes({ operator, attributes, inputs }: Node): Types {
    const given = inputs.map((name) => this.types.get(name));
    const into: Types = operator === 'Loop' ? [INT64, BOOL, ...given.slice(2)] : given;
    let outputs: Types = [];
    for (const { graphs } of attributes.values()) {
      for (const graph of graphs) outputs = this.graph(graph, operator === 'If' ? [] : into);
    }
    return operator === 'Loop' ? outputs.slice(1) : outputs;
  }

  private outputType({ operator, attributes }: Node, given: Types, place: number) {
    if (operator === 'Cast') return attributes.get('to')?.numbers[0];
    if (operator === 'Constant') return this.constantType(attributes);
    if (operator === 'ConstantOfShape') return this.tensorType(attributes.get('value')) ?? FLOAT;
    if (operator === 'TopK' && place === 1) return INT64;
    if (SECOND.has(operator)) return given[1];
    return SAME.has(operator) ? given[0] : FIXED.get(operator);
  }

  private constantType(attributes: Node['attributes']): number | undefined {
    if (attributes.has('value_int') || attributes.has('value_ints')) return INT64;
    return this.tensorType(attributes.get('value'));
  }

  private tensorType(attribute: Attribute | undefined): number | undefined {
    const tensor = attribute?.tensor;
    return tensor && constantOf(this.bytes, tensor).type;
  }
}
