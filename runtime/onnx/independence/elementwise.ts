import { listOrInput, numberAt, numbersAt } from './node';
import type { Node } from './node';
import {
  axisOf,
  broadcast,
  dimsOf,
  fixed,
  isFixed,
  notAlong,
  NotRowwise,
  rowAxisOf,
  rowsFirst,
  rowwise,
} from './value';
import type { RowwiseValue, Size } from './value';

/** A node and the facts about its inputs, none of which mixes rows. */
export interface OperatorContext {
  readonly node: Node;
  readonly inputs: readonly (RowwiseValue | undefined)[];
  /** Version of the operator set that its domain has in the file. */
  readonly opset: number;
}

/** Derives the facts about a node's outputs. @throws NotRowwise */
export type OperatorRule = (on: OperatorContext) => readonly RowwiseValue[];

export type OperatorRules = Readonly<Record<string, OperatorRule>>;

/** The first input, which must be there. */
export function first({ inputs }: OperatorContext): RowwiseValue {
  const [input] = inputs;
  if (input === undefined) throw new NotRowwise('it has no input');
  return input;
}

export const fixedFrom = ({ inputs }: OperatorContext, from: number, what: string): void =>
  inputs.slice(from).forEach((input) => void fixed(input, what));

function noAttribute({ attributes }: Node, ...names: readonly string[]): void {
  const found = names.find((name) => (attributes.get(name)?.numbers[0] ?? 0) !== 0);
  if (found !== undefined) throw new NotRowwise(`its attribute ${found} is set`);
}

/** The operator gives an element for each of its first input; further inputs apply to all. */
const unary: OperatorRule = (on) => {
  fixedFrom(on, 1, 'second input');
  return [{ dims: first(on).dims }];
};

/** The same elements. */
const same: OperatorRule = (on) => [first(on)];

/** Types in which a size stays what it is: FLOAT, INT32, INT64, DOUBLE. */
const EXACT = new Set([1, 6, 7, 11]);

/** The same elements in another type. */
const cast: OperatorRule = (on) => {
  const { dims, elements } = first(on);
  const isWhole = elements?.every((one) => typeof one !== 'number' || Number.isInteger(one));
  const isExact = EXACT.has(numberAt(on.node.attributes, 'to', 0));
  return [{ dims, elements: isExact && isWhole === true ? elements : undefined }];
};

type Calculation = (a: number, b: number) => number;

/** Numbers that are known are calculated with; the number of rows is in no other way. */
function calculated(inputs: readonly RowwiseValue[], calculate: Calculation | undefined) {
  const [a, b] = inputs;
  if (a?.elements === undefined || b?.elements === undefined) return undefined;
  const length = Math.max(a.elements.length, b.elements.length);
  return Array.from({ length }, (_, at): Size => {
    const x = a.elements?.[a.elements.length === 1 ? 0 : at];
    const y = b.elements?.[b.elements.length === 1 ? 0 : at];
    if (x === 'rows' || y === 'rows') {
      const isSame = calculate === TIMES && (x === 1 || y === 1);
      if (isSame) return 'rows';
      throw new NotRowwise('it calculates with the number of rows');
    }
    const isKnown = typeof x === 'number' && typeof y === 'number' && calculate !== undefined;
    return isKnown ? calculate(x, y) : 'other';
  });
}

const TIMES: Calculation = (a, b) => a * b;

function noSizes(inputs: readonly RowwiseValue[]): void {
  if (inputs.some(({ elements }) => elements?.includes('rows') === true)) {
    throw new NotRowwise('it calculates with the number of rows');
  }
}

/** Elements of several tensors, spread over each other. */
const spread =
  (calculate?: Calculation): OperatorRule =>
  ({ node, inputs }) => {
    noAttribute(node, 'broadcast', 'axis');
    const given = inputs.filter((input) => input !== undefined);
    const elements = given.length === 2 ? calculated(given, calculate) : undefined;
    if (elements === undefined) noSizes(given);
    if (given.every(isFixed) && given.some(({ dims }) => dims === undefined)) {
      return [{ dims: undefined }];
    }
    const known = elements?.includes('other') === true ? undefined : elements;
    return [rowwise(broadcast(given.map(dimsOf)), known)];
  };

/** Exporters write `where(shape == -1, 1, shape)` for requested sizes. */
const where: OperatorRule = (on) => {
  const [condition, yes, no] = on.inputs;
  if (condition?.elements === undefined || yes?.elements === undefined) return spread()(on);
  const { length } = condition.elements;
  if (yes.elements.length !== length || no?.elements?.length !== length) return spread()(on);
  if (condition.elements.some((one) => typeof one !== 'number')) return spread()(on);
  const elements = condition.elements.map((one, at) => (one === 0 ? no : yes).elements?.[at]);
  return [rowwise(dimsOf(yes), elements as Size[])];
};

/** −1 is a placeholder; no number of rows is −1. */
const equal: OperatorRule = (on) => {
  const [a, b] = on.inputs;
  const asks = b?.elements?.every((one) => one === -1) === true;
  if (!asks || a?.elements === undefined) return spread()(on);
  const elements = a.elements.map((one) => (one === -1 ? 1 : 0));
  return [rowwise(dimsOf(a), elements)];
};

/** The second input only gives the type. */
const castLike: OperatorRule = (on) => [{ dims: first(on).dims }];

/** No random zeros: only for training, which an input or an old attribute turns on. */
const dropout: OperatorRule = (on) => {
  const [, , training] = on.inputs;
  const isTest = numberAt(on.node.attributes, 'is_test', on.opset < 7 ? 0 : 1) === 1;
  const isOff = training === undefined || training.elements?.[0] === 0;
  if (!isTest || !isOff) throw new NotRowwise('it is in training mode');
  const { dims } = first(on);
  return [{ dims }, { dims }];
};

const batchNormalization: OperatorRule = (on) => {
  const { attributes, outputs } = on.node;
  const isTest = numberAt(attributes, 'is_test', on.opset < 7 ? 0 : 1) === 1;
  noAttribute(on.node, 'training_mode');
  if (!isTest || outputs.length > 1) throw new NotRowwise('it is in training mode');
  fixedFrom(on, 1, 'scale, mean or variance');
  return [{ dims: rowsFirst(first(on)) }];
};

/** Each row by itself, whatever its further dimensions. */
const withinRow: OperatorRule = (on) => {
  fixedFrom(on, 1, 'second input');
  return [{ dims: rowsFirst(first(on)) }];
};

/** From an axis to the last. */
const normalizedFrom: OperatorRule = (on) => {
  const input = first(on);
  fixedFrom(on, 1, 'scale');
  const dims = dimsOf(input);
  const axis = axisOf(numberAt(on.node.attributes, 'axis', -1), dims.length);
  if ((rowAxisOf(input) ?? -1) >= axis) throw new NotRowwise('it normalizes over the rows');
  if (on.node.outputs.length > 1) throw new NotRowwise('its mean is asked for');
  return [{ dims }];
};

/** Along one axis; in old operator sets along all from there on. */
const softmax: OperatorRule = (on) => {
  const input = first(on);
  const dims = dimsOf(input);
  const axis = axisOf(
    numberAt(on.node.attributes, 'axis', on.opset < 13 ? 1 : -1),
    Math.max(1, dims.length),
  );
  const rows = rowAxisOf(input) ?? -1;
  if (on.opset < 13 ? rows >= axis : rows === axis) {
    throw new NotRowwise('it works along the rows');
  }
  return [{ dims }];
};

const alongAxis =
  (otherwise: number): OperatorRule =>
  (on) => {
    const input = first(on);
    const dims = dimsOf(input);
    fixedFrom(on, 1, 'axis');
    const [stated = numberAt(on.node.attributes, 'axis', otherwise)] =
      listOrInput(on.node.attributes, 'axis', on.inputs[1]) ?? [];
    notAlong(input, axisOf(stated, dims.length));
    return [{ dims }];
  };

const overAxes: OperatorRule = (on) => {
  const input = first(on);
  const dims = dimsOf(input);
  for (const axis of numbersAt(on.node.attributes, 'axes') ?? [0, 2, 3]) {
    notAlong(input, axisOf(axis, dims.length));
  }
  return [{ dims }];
};

/** Scale and zero point are one for all, or one for each place of another axis. */
const quantized: OperatorRule = (on) => {
  const input = first(on);
  const [, scale] = on.inputs;
  fixedFrom(on, 1, 'scale');
  noAttribute(on.node, 'block_size');
  if (input.dims === undefined) return [{ dims: undefined }];
  const isForAll = scale?.dims?.every((size) => size === 1) === true;
  const axis = numberAt(on.node.attributes, 'axis', 1);
  if (!isForAll && input.dims.length > 0) notAlong(input, axisOf(axis, input.dims.length));
  return [{ dims: input.dims }];
};

export const each = (rule: OperatorRule, names: string): OperatorRules =>
  Object.fromEntries(names.split(' ').map((name) => [name, rule]));

export const ELEMENTWISE: OperatorRules = {
  ...each(
    unary,
    'Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu ' +
      'HardSigmoid HardSwish IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal RegexFullMatch Relu ' +
      'Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Swish Tan Tanh ' +
      'ThresholdedRelu',
  ),
  Identity: same,
  Cast: cast,
  CastLike: castLike,
  ...each(
    spread(),
    'And BitShift BitwiseAnd BitwiseOr BitwiseXor Clip Div Greater GreaterOrEqual Less LessOrEqual Max ' +
      'Mean Min Mod Or PRelu Pow StringConcat Sum Xor',
  ),
  Add: spread((a, b) => a + b),
  Sub: spread((a, b) => a - b),
  Mul: spread(TIMES),
  Equal: equal,
  Where: where,
  Dropout: dropout,
  BatchNormalization: batchNormalization,
  ...each(withinRow, 'GroupNormalization InstanceNormalization LRN'),
  ...each(normalizedFrom, 'LayerNormalization RMSNormalization'),
  ...each(softmax, 'Softmax LogSoftmax Hardmax'),
  CumSum: alongAxis(0),
  LpNormalization: alongAxis(-1),
  MeanVarianceNormalization: overAxes,
  ...each(quantized, 'QuantizeLinear DequantizeLinear'),
};
