import { each, first, fixedFrom } from './elementwise';
import type { OperatorRule, OperatorRules } from './elementwise';
import { numberAt } from './node';
import {
  broadcast,
  dimsOf,
  fixed,
  isFixed,
  NotRowwise,
  rowAxisOf,
  rowsFirst,
  rowwise,
} from './value';
import type { RowwiseValue, Size } from './value';

// Matrices, windows and sequences: none of them may sum over the rows.

function product(a: RowwiseValue | undefined, b: RowwiseValue | undefined): readonly Size[] {
  const [left, right] = [dimsOf(a), dimsOf(b)];
  if (left.length === 0 || right.length === 0) throw new NotRowwise('it has a scalar as an input');
  const inner = [left.at(-1), right.length === 1 ? right[0] : right.at(-2)];
  if (inner.includes('rows')) throw new NotRowwise('it sums over the rows');
  const outer = broadcast([left.slice(0, -2), right.slice(0, -2)]);
  const ends = [
    ...(left.length > 1 ? left.slice(-2, -1) : []),
    ...(right.length > 1 ? right.slice(-1) : []),
  ];
  return [...outer, ...ends];
}

const matMul: OperatorRule = ({ inputs: [a, b] }) => [rowwise(product(a, b))];

/** A scale or zero point of the left matrix may be one for each of its rows. */
function forAll(value: RowwiseValue | undefined): void {
  if (value === undefined || value.dims?.every((size) => size === 1) === true) return;
  throw new NotRowwise('it has a scale or zero point for each row');
}

/** Behind both matrices their zero points. */
const matMulInteger: OperatorRule = (on) => {
  fixedFrom(on, 2, 'zero point');
  forAll(on.inputs[2]);
  return matMul(on);
};

/** Value, scale, zero point; of both, and of the product. */
const quantizedMatMul: OperatorRule = ({ inputs }) => {
  const [a, aScale, aZero, b, ...others] = inputs;
  for (const one of [aScale, aZero, ...others]) fixed(one, 'scale');
  for (const one of [aScale, aZero, ...others.slice(2)]) forAll(one);
  return [rowwise(product(a, b))];
};

const gemm: OperatorRule = ({ node, inputs: [a, b, c] }) => {
  const turned = (value: RowwiseValue | undefined, name: string): readonly Size[] => {
    const dims = dimsOf(value);
    return numberAt(node.attributes, name, 0) === 1 ? dims.toReversed() : dims;
  };
  const [left, right] = [turned(a, 'transA'), turned(b, 'transB')];
  const own = product({ dims: left }, { dims: right });
  if (c === undefined) return [rowwise(own)];
  return [rowwise(broadcast([own, dimsOf(c)]))];
};

/** A window over places; channels and filters are the same for all. */
const convolution =
  (filters: number): OperatorRule =>
  (on) => {
    fixedFrom(on, 1, 'filter');
    const dims = rowsFirst(first(on));
    const channels = filters < 0 ? 'other' : (on.inputs[filters]?.dims?.[0] ?? 'other');
    return [
      { dims: dims.map((one, axis) => (axis === 0 ? one : axis === 1 ? channels : 'other')) },
    ];
  };

const pool =
  (isGlobal: boolean): OperatorRule =>
  (on) => {
    // The returned places count from the first row.
    if (on.node.outputs.filter((name) => name !== '').length > 1) {
      throw new NotRowwise('its places are asked for, which count over all rows');
    }
    const dims = rowsFirst(first(on));
    return [{ dims: dims.map((one, axis) => (axis < 2 ? one : isGlobal ? 1 : 'other')) }];
  };

/** Where the rows lie in what a recurrent network takes and gives. */
const recurrent: OperatorRule = (on) => {
  const { attributes } = on.node;
  const [input, , , , lengths, ...states] = on.inputs;
  const isFirst = numberAt(attributes, 'layout', 0) === 1;
  const dims = dimsOf(input);
  on.inputs.slice(1, 4).forEach((one) => void fixed(one, 'weights'));
  // Peepholes of an LSTM.
  fixed(on.inputs[7], 'weights');
  if (rowAxisOf(input) === undefined) {
    if (on.inputs.every(isFixed)) return on.node.outputs.map(() => ({ dims: undefined }));
    throw new NotRowwise('its states have rows and its input has none');
  }
  const at = isFirst ? 0 : 1;
  const all = [input, ...states.slice(0, 2)].filter((one) => one !== undefined);
  const isAligned = all.every(
    (one) => rowAxisOf(one) === at || (one !== input && isFixed(one) && one.dims?.[at] === 1),
  );
  const hasLengths = lengths === undefined || rowAxisOf(lengths) === 0;
  if (!isAligned || !hasLengths) throw new NotRowwise('the rows are not its batch');
  const [sequence = 'other'] = isFirst ? dims.slice(1) : dims;
  const state: Size[] = isFirst ? ['rows', 'other', 'other'] : ['other', 'rows', 'other'];
  const whole: Size[] = isFirst
    ? ['rows', sequence, 'other', 'other']
    : [sequence, 'other', 'rows', 'other'];
  return [{ dims: whole }, { dims: state }, { dims: state }];
};

/** `bij,jk->bik`: the letter of the rows must be in the result, and in every input with rows. */
const einsum: OperatorRule = (on) => {
  const equation = (on.node.attributes.get('equation')?.texts[0] ?? '').replace(/\s/g, '');
  const [from = '', to] = equation.split('->');
  if (to === undefined || /[^A-Za-z,]/.test(from + to)) {
    throw new NotRowwise('its equation is not one letter for each axis with a result');
  }
  const sizes = new Map<string, Size>();
  from.split(',').forEach((letters, at) => {
    const dims = dimsOf(on.inputs[at]);
    Array.from(letters).forEach((letter, axis) => {
      const size = dims[axis] ?? 'other';
      const known = sizes.get(letter);
      if (known !== undefined && (known === 'rows') !== (size === 'rows')) {
        throw new NotRowwise('it brings rows together with values that are not of one row each');
      }
      sizes.set(letter, size);
    });
  });
  const rows = [...sizes].find(([, size]) => size === 'rows')?.[0];
  if (rows !== undefined && !to.includes(rows)) throw new NotRowwise('it sums over the rows');
  return [rowwise(Array.from(to, (letter) => sizes.get(letter) ?? 'other'))];
};

export const LINEAR: OperatorRules = {
  MatMul: matMul,
  MatMulInteger: matMulInteger,
  QLinearMatMul: quantizedMatMul,
  Gemm: gemm,
  Einsum: einsum,
  Conv: convolution(1),
  ConvInteger: convolution(1),
  QLinearConv: convolution(3),
  ConvTranspose: convolution(-1),
  ...each(pool(false), 'AveragePool LpPool MaxPool'),
  ...each(pool(true), 'GlobalAveragePool GlobalMaxPool GlobalLpPool'),
  ...each(recurrent, 'GRU LSTM RNN'),
};
