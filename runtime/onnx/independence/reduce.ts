import { each, first, fixedFrom } from './elementwise';
import type { OperatorRule, OperatorRules } from './elementwise';
import { listOrInput, numberAt } from './node';
import {
  axisOf,
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

// Operators that choose elements or make one of many: along which axes they do tells the rows
// apart.

/** Without some axes, or with one in their place. */
function reduced(dims: readonly Size[], axes: readonly number[], keeps: boolean): Size[] {
  return dims.flatMap((one, axis) => (axes.includes(axis) ? (keeps ? [1] : []) : [one]));
}

const reduce: OperatorRule = (on) => {
  const input = first(on);
  const dims = dimsOf(input);
  const stated = listOrInput(on.node.attributes, 'axes', on.inputs[1]);
  const isNone = stated === undefined || stated.length === 0;
  if (isNone && numberAt(on.node.attributes, 'noop_with_empty_axes', 0) === 1) return [{ dims }];
  const axes = isNone ? dims.map((_, axis) => axis) : stated.map((one) => axisOf(one, dims.length));
  for (const axis of axes) notAlong(input, axis);
  return [{ dims: reduced(dims, axes, numberAt(on.node.attributes, 'keepdims', 1) === 1) }];
};

const argument: OperatorRule = (on) => {
  const input = first(on);
  const dims = dimsOf(input);
  const axis = axisOf(numberAt(on.node.attributes, 'axis', 0), dims.length);
  notAlong(input, axis);
  return [{ dims: reduced(dims, [axis], numberAt(on.node.attributes, 'keepdims', 1) === 1) }];
};

const topK: OperatorRule = (on) => {
  const input = first(on);
  const dims = dimsOf(input);
  fixedFrom(on, 1, 'k');
  const axis = axisOf(numberAt(on.node.attributes, 'axis', -1), dims.length);
  notAlong(input, axis);
  const left = dims.map((one, at): Size =>
    at === axis ? (on.inputs[1]?.elements?.[0] ?? 'other') : one,
  );
  return [{ dims: left }, { dims: left }];
};

/** Elements of a list of sizes. */
function gatheredSizes(
  data: RowwiseValue,
  indices: RowwiseValue | undefined,
): RowwiseValue | undefined {
  const places = indices?.elements;
  if (data.elements === undefined || data.dims?.length !== 1 || places === undefined)
    return undefined;
  const elements = places.map((at) =>
    typeof at === 'number' ? data.elements?.[at < 0 ? at + data.elements.length : at] : undefined,
  );
  const isKnown = elements.every((one) => one !== undefined);
  return isKnown ? { dims: dimsOf(indices), elements } : undefined;
}

const gather: OperatorRule = (on) => {
  const data = first(on);
  const [, indices] = on.inputs;
  const sizes = gatheredSizes(data, indices);
  if (sizes !== undefined) return [sizes];
  const dims = dimsOf(data);
  const axis = axisOf(numberAt(on.node.attributes, 'axis', 0), dims.length);
  if (!isFixed(data)) {
    fixed(indices, 'choice of rows');
    notAlong(data, axis);
  }
  return [rowwise([...dims.slice(0, axis), ...dimsOf(indices), ...dims.slice(axis + 1)])];
};

/** Data, places and perhaps new values, each with the rows in the same place. */
const elementsAlong: OperatorRule = (on) => {
  const data = first(on);
  const rows = rowAxisOf(data);
  const axis = axisOf(numberAt(on.node.attributes, 'axis', 0), dimsOf(data).length);
  notAlong(data, axis);
  if (on.inputs.some((input) => rowAxisOf(input) !== rows)) {
    throw new NotRowwise('it brings rows together with values that are not of one row each');
  }
  return [{ dims: dimsOf(on.node.operator === 'GatherElements' ? on.inputs[1] : data) }];
};

const gatherMany: OperatorRule = (on) => {
  const [data, indices] = [first(on), on.inputs[1]];
  const [own, places] = [dimsOf(data), dimsOf(indices)];
  const depth = places.at(-1);
  const inner = numberAt(on.node.attributes, 'batch_dims', 0);
  if (typeof depth !== 'number') throw new NotRowwise('its shape is not known beforehand');
  const isRowByRow = inner > 0 && rowAxisOf(data) === 0 && rowAxisOf(indices) === 0;
  if (!isFixed(data) && !isRowByRow) throw new NotRowwise('it chooses among the rows');
  if (isFixed(data) && inner > 0 && !isFixed(indices)) {
    throw new NotRowwise('it brings rows together with values that are not of one row each');
  }
  return [rowwise([...places.slice(0, -1), ...own.slice(inner + depth)])];
};

const oneHot: OperatorRule = (on) => {
  const dims = dimsOf(first(on));
  fixedFrom(on, 1, 'depth');
  const axis = axisOf(numberAt(on.node.attributes, 'axis', -1), dims.length + 1);
  const depth = on.inputs[1]?.elements?.[0] ?? 'other';
  return [{ dims: [...dims.slice(0, axis), depth, ...dims.slice(axis)] }];
};

const reverseSequence: OperatorRule = (on) => {
  const input = first(on);
  const { attributes } = on.node;
  const rows = rowAxisOf(input);
  const isRowByRow =
    rows === numberAt(attributes, 'batch_axis', 1) && rowAxisOf(on.inputs[1]) === 0;
  if (rows !== undefined && !isRowByRow) throw new NotRowwise('it works along the rows');
  return [{ dims: input.dims }];
};

/** Sizes or scales, of which those of the rows must be one. */
const resize: OperatorRule = (on) => {
  const input = first(on);
  const dims = rowsFirst(input);
  const isOld = on.opset < 11;
  const [scales, sizes] = isOld ? on.inputs.slice(1, 2) : on.inputs.slice(2, 4);
  const { attributes } = on.node;
  const mode = attributes.get('coordinate_transformation_mode')?.texts[0];
  const policy = attributes.get('keep_aspect_ratio_policy')?.texts[0] ?? 'stretch';
  if (mode === 'tf_crop_and_resize' || policy !== 'stretch') {
    throw new NotRowwise(`it resizes by ${mode ?? policy}`);
  }
  const axes = attributes.get('axes')?.numbers;
  const isOther = axes?.every((axis) => axisOf(axis, dims.length) !== 0) === true;
  const size = sizes?.elements?.[0];
  const scale = scales?.elements?.[0] ?? attributes.get('scales')?.numbers[0];
  if (isOther) {
    fixed(sizes, 'sizes');
    fixed(scales, 'scales');
  } else if (sizes === undefined ? scale !== 1 : size !== 'rows') {
    throw new NotRowwise('it resizes the rows');
  } else if ((sizes?.elements ?? []).slice(1).includes('rows')) {
    throw new NotRowwise('it calculates with the number of rows');
  }
  fixed(scales, 'scales');
  return [{ dims: dims.map((one, axis) => (axis === 0 ? one : 'other')) }];
};

const REDUCTIONS =
  'ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ' +
  'ReduceSum ReduceSumSquare';

export const REDUCE: OperatorRules = {
  ...each(reduce, REDUCTIONS),
  ...each(argument, 'ArgMax ArgMin'),
  TopK: topK,
  Gather: gather,
  GatherElements: elementsAlong,
  ScatterElements: elementsAlong,
  Scatter: elementsAlong,
  GatherND: gatherMany,
  OneHot: oneHot,
  ReverseSequence: reverseSequence,
  Resize: resize,
  Upsample: resize,
};
