import { listOf, listOrInput, numberAt, numbersAt } from './node';
import {
  axisOf,
  broadcast,
  dimsOf,
  elementsOf,
  fixed,
  isFixed,
  notAlong,
  NotRowwise,
  numbersOf,
  product,
  rowAxisOf,
  rowwise,
} from './value';
import type { Size } from './value';
import { first, fixedFrom } from './elementwise';
import type { OperatorContext, OperatorRule, OperatorRules } from './elementwise';

// Operators that put elements in other places. Elements of shapes are followed through them.

const shape: OperatorRule = ({ node, inputs: [input] }) => {
  if (input?.dims === undefined) return [{ dims: ['other'] }];
  const { length } = input.dims;
  const start = numberAt(node.attributes, 'start', 0);
  const end = numberAt(node.attributes, 'end', length);
  return [listOf(input.dims.slice(start, end))];
};

const elementCount: OperatorRule = (on) => {
  if (!isFixed(first(on))) throw new NotRowwise('it counts the rows');
  return [{ dims: [], elements: [product(dimsOf(first(on)))] }];
};

const transpose: OperatorRule = ({ node, inputs: [input] }) => {
  const dims = dimsOf(input);
  const order = numbersAt(node.attributes, 'perm') ?? dims.map((_, axis) => dims.length - 1 - axis);
  return [{ dims: order.map((axis) => dims[axis] ?? 'other') }];
};

const flatten: OperatorRule = (on) => {
  const input = first(on);
  const dims = dimsOf(input);
  const stated = numberAt(on.node.attributes, 'axis', 1);
  const axis = stated < 0 ? stated + dims.length : stated;
  if (!isFixed(input) && (axis !== 1 || dims[0] !== 'rows')) {
    throw new NotRowwise('it flattens the rows');
  }
  return [{ dims: [product(dims.slice(0, axis)), product(dims.slice(axis))] }];
};

const axesOf = (on: OperatorContext): readonly number[] | undefined =>
  listOrInput(on.node.attributes, 'axes', on.inputs[1]);

const squeeze: OperatorRule = (on) => {
  const input = first(on);
  const dims = dimsOf(input);
  const axes = axesOf(on)?.map((axis) => axisOf(axis, dims.length));
  if (axes === undefined) {
    if (dims.some((one) => typeof one !== 'number')) {
      throw new NotRowwise('it names no axes, and what is left hangs on the number of rows');
    }
    return [{ dims: dims.filter((one) => one !== 1), elements: input.elements }];
  }
  for (const axis of axes) notAlong(input, axis);
  const left = dims.filter((_, axis) => !axes.includes(axis));
  return [{ dims: left, elements: input.elements }];
};

const unsqueeze: OperatorRule = (on) => {
  const input = first(on);
  const dims = dimsOf(input);
  const given = axesOf(on) ?? [];
  const rank = dims.length + given.length;
  const axes = new Set(given.map((axis) => axisOf(axis, rank)));
  let next = 0;
  const wider = Array.from({ length: rank }, (_, axis): Size => {
    if (axes.has(axis)) return 1;
    next += 1;
    return dims[next - 1] ?? 'other';
  });
  return [{ dims: wider, elements: rank === 1 ? input.elements : undefined }];
};

/** The requested sizes; 0 keeps the present one. */
function requestedSizes(on: OperatorContext, dims: readonly Size[]): readonly Size[] {
  const wanted = numbersAt(on.node.attributes, 'shape') ?? elementsOf(on.inputs[1], 'shape');
  const keepsZero = numberAt(on.node.attributes, 'allowzero', 0) === 1;
  return wanted.map((one, axis) => (one === 0 && !keepsZero ? (dims[axis] ?? 'other') : one));
}

/** Does a row keep all its elements: are there as many behind the rows as before? */
function keepsRest(before: readonly Size[], after: readonly Size[]): boolean {
  const [had, has] = [[...before], [...after]].map((all) => all.filter((one) => one !== 1));
  if (had === undefined || has === undefined) return false;
  if (had.join() === has.join() && !had.includes(-1)) return !had.includes('other');
  const [a, b] = [product(had), product(has)];
  return typeof a === 'number' && a === b && !has.includes(-1);
}

/** Sizes of the given axes in place of 0: unknown ones cancel where they are the same ones. */
function withoutCopied(on: OperatorContext, dims: readonly Size[]): { had: Size[]; has: Size[] } {
  const wanted = numbersAt(on.node.attributes, 'shape') ?? elementsOf(on.inputs[1], 'shape');
  const copied = (axis: number): boolean => wanted[axis] === 0;
  const had = dims.filter((one, axis) => one !== 'rows' && !copied(axis));
  const has = wanted.filter((one, axis) => one !== 'rows' && !copied(axis));
  return { had, has };
}

/**
 * Where the rows lie in the new shape. They are the outermost axis before, beside axes of one, or
 * the axes in front of them stay as they are.
 */
function rowsIn(
  on: OperatorContext,
  dims: readonly Size[],
  rows: number,
  wanted: readonly Size[],
): number {
  const before = dims.slice(0, rows);
  const isOutermost = before.every((one) => one === 1);
  const stated = wanted.indexOf('rows');
  const at = stated === -1 ? wanted.indexOf(-1) : stated;
  if (at === -1) throw new NotRowwise('it gives a number of rows of its own');
  const front = wanted.slice(0, at);
  const keepsFront =
    front.join() === before.join() && !front.includes('other') && !front.includes(-1);
  const isFree = isOutermost && front.every((one) => one === 1);
  if (!keepsFront && !isFree) throw new NotRowwise('it mixes the rows with another axis');
  // A row may have its elements anew in any shape, if it has all of them.
  if (stated !== -1) return at;
  const { had, has } = withoutCopied(on, dims);
  if (
    !keepsRest(
      had,
      has.filter((one) => one !== -1),
    )
  ) {
    throw new NotRowwise('it is not known to keep a row together');
  }
  return at;
}

const reshape: OperatorRule = (on) => {
  const input = first(on);
  if (!isFixed(on.inputs[1]) && isFixed(input)) throw new NotRowwise('it spreads over the rows');
  if (isFixed(input)) {
    const wanted = on.inputs[1]?.elements ?? numbersAt(on.node.attributes, 'shape');
    const isKnown = wanted?.every((one) => typeof one === 'number' && one > 0) === true;
    const isList = isKnown && wanted.length <= 1;
    return [{ dims: isKnown ? wanted : undefined, elements: isList ? input.elements : undefined }];
  }
  const dims = dimsOf(input);
  if (rowAxisOf(input) === undefined) {
    // Sizes, among them the number of rows.
    const isList = numbersOf(on.inputs[1], 'shape').length <= 1;
    return [isList ? input : { dims: undefined }];
  }
  const wanted = requestedSizes(on, dims);
  const at = rowsIn(on, dims, rowAxisOf(input) ?? 0, wanted);
  return [rowwise(wanted.map((one, axis) => (axis === at ? 'rows' : one === -1 ? 'other' : one)))];
};

const concat: OperatorRule = ({ node, inputs }) => {
  const given = inputs.filter((input) => input !== undefined);
  if (given.every(isFixed) && given.some(({ dims }) => dims === undefined)) {
    return [{ dims: undefined }];
  }
  const all = given.map(dimsOf);
  const [dims = []] = all;
  const axis = axisOf(numberAt(node.attributes, 'axis', 1), dims.length);
  const rows = all.map((one) => one.indexOf('rows'));
  if (rows.includes(axis)) throw new NotRowwise('it joins values along the rows');
  if (new Set(rows).size > 1) throw new NotRowwise('it joins rows with values that have none');
  const lists = given.map(({ elements }) => elements);
  const isKnown = lists.every((list) => list !== undefined);
  if (!isKnown && !given.every(isFixed) && rows[0] === -1) {
    throw new NotRowwise('it calculates with the number of rows');
  }
  const sizes = all.map((one) => one[axis] ?? 'other');
  const whole = sizes.every((one) => typeof one === 'number')
    ? sizes.reduce((sum, one) => sum + one, 0)
    : 'other';
  const joined = dims.map((one, at) => (at === axis ? whole : one));
  return [rowwise(joined, isKnown && dims.length === 1 ? lists.flat() : undefined)];
};

const split: OperatorRule = (on) => {
  const input = first(on);
  fixedFrom(on, 1, 'split');
  const dims = dimsOf(input);
  const axis = axisOf(numberAt(on.node.attributes, 'axis', 0), dims.length);
  notAlong(input, axis);
  const sizes = numbersAt(on.node.attributes, 'split') ?? on.inputs[1]?.elements;
  return on.node.outputs.map((_, part) => ({
    dims: dims.map((one, at) => (at === axis ? (sizes?.[part] ?? 'other') : one)),
  }));
};

/** Up to the end, however long it is. */
const END = 2 ** 31 - 1;

interface Bounds {
  readonly axes: readonly number[];
  readonly starts: readonly Size[] | undefined;
  readonly ends: readonly Size[] | undefined;
  readonly steps: readonly Size[];
}

function boundsOf(on: OperatorContext, rank: number): Bounds {
  const { attributes } = on.node;
  const [, starts, ends, axes, steps] = on.inputs;
  fixedFrom(on, 1, 'bounds');
  const from = numbersAt(attributes, 'starts') ?? starts?.elements;
  const stated = numbersAt(attributes, 'axes') ?? (axes && numbersOf(axes, 'axes'));
  const count = from?.length ?? starts?.dims?.[0];
  if (stated === undefined && typeof count !== 'number') {
    throw new NotRowwise('its axes are not known beforehand');
  }
  const all = stated ?? Array.from({ length: Number(count) }, (_, axis) => axis);
  return {
    axes: all.map((axis) => axisOf(axis, rank)),
    starts: from,
    ends: numbersAt(attributes, 'ends') ?? ends?.elements,
    steps: all.map((_, at) => (steps === undefined ? 1 : (steps.elements?.[at] ?? 'other'))),
  };
}

/** How many elements a slice has of so many. */
function sliced(whole: Size, start?: Size, end?: Size, step: Size = 1): Size {
  if (start === 0 && typeof end === 'number' && end >= END && step === 1) return whole;
  if (typeof whole !== 'number' || typeof start !== 'number' || typeof end !== 'number') {
    return 'other';
  }
  if (step !== 1) return 'other';
  const clamp = (at: number): number => Math.min(whole, Math.max(0, at < 0 ? at + whole : at));
  return Math.max(0, clamp(end) - clamp(start));
}

const slice: OperatorRule = (on) => {
  const input = first(on);
  const dims = [...dimsOf(input)];
  const { axes, starts, ends, steps } = boundsOf(on, dims.length);
  axes.forEach((axis, at) => {
    const left = sliced(dims[axis] ?? 'other', starts?.[at], ends?.[at], steps[at]);
    if (dims[axis] === 'rows' && left !== 'rows') notAlong(input, axis);
    dims[axis] = left;
  });
  const [start] = starts ?? [];
  const isKnown =
    input.elements !== undefined && dims.length === 1 && steps.every((one) => one === 1);
  if (isKnown && typeof dims[0] === 'number' && typeof start === 'number') {
    const from = Math.max(0, start < 0 ? start + input.elements.length : start);
    return [rowwise(dims, input.elements.slice(from, from + dims[0]))];
  }
  return [rowwise(dims)];
};

const expand: OperatorRule = (on) => {
  const input = first(on);
  const wanted = on.inputs[1];
  if (wanted?.elements === undefined && isFixed(input)) {
    fixed(wanted, 'shape');
    return [{ dims: undefined }];
  }
  const sizes = elementsOf(wanted, 'shape').map((one) => (one === -1 ? 1 : one));
  return [rowwise(broadcast([dimsOf(input), sizes]))];
};

const tile: OperatorRule = (on) => {
  const dims = dimsOf(first(on));
  const repeats = elementsOf(on.inputs[1], 'repeats');
  const times = (size: Size, count: Size = 1): Size => {
    if (count === 1) return size;
    if (size === 'rows') throw new NotRowwise('it repeats the rows');
    if (count === 'rows' && size !== 1) throw new NotRowwise('it repeats by the number of rows');
    return count === 'rows' ? count : product([size, count]);
  };
  return [rowwise(dims.map((one, axis) => times(one, repeats[axis])))];
};

const constantOfShape: OperatorRule = ({ inputs: [wanted] }) => {
  if (wanted?.elements === undefined) {
    fixed(wanted, 'shape');
    return [{ dims: undefined }];
  }
  return [rowwise(wanted.elements)];
};

const pad: OperatorRule = (on) => {
  const input = first(on);
  const dims = dimsOf(input);
  fixedFrom(on, 1, 'pads');
  const pads = numbersAt(on.node.attributes, 'pads') ?? elementsOf(on.inputs[1], 'pads');
  const axes = on.inputs[3] === undefined ? dims.map((_, axis) => axis) : undefined;
  const all = axes ?? numbersOf(on.inputs[3], 'axes').map((axis) => axisOf(axis, dims.length));
  const added = (axis: number): readonly Size[] => {
    const at = all.indexOf(axis);
    return at === -1 ? [0, 0] : [pads[at] ?? 'other', pads[at + all.length] ?? 'other'];
  };
  return [
    rowwise(
      dims.map((one, axis) => {
        const [before, behind] = added(axis);
        if (before === 0 && behind === 0) return one;
        notAlong(input, axis);
        return 'other';
      }),
    ),
  ];
};

const blocks: OperatorRule = (on) => {
  const dims = dimsOf(first(on));
  if (!isFixed(first(on)) && dims[0] !== 'rows') throw new NotRowwise('it moves the rows');
  return [{ dims: [dims[0] ?? 'other', 'other', 'other', 'other'] }];
};

/** Triangles and determinants of matrices: of the last two axes. */
const matrices =
  (left: number): OperatorRule =>
  (on) => {
    const dims = dimsOf(first(on));
    const rows = dims.indexOf('rows');
    fixedFrom(on, 1, 'diagonal');
    if (rows !== -1 && rows >= dims.length - 2) throw new NotRowwise('it works along the rows');
    return [{ dims: dims.slice(0, dims.length - left) }];
  };

export const LAYOUT: OperatorRules = {
  Shape: shape,
  Size: elementCount,
  Transpose: transpose,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Reshape: reshape,
  Concat: concat,
  Split: split,
  Slice: slice,
  Expand: expand,
  Tile: tile,
  ConstantOfShape: constantOfShape,
  Pad: pad,
  DepthToSpace: blocks,
  SpaceToDepth: blocks,
  Trilu: matrices(0),
  Det: matrices(2),
};
