// Analysis of graph values: how sizes and elements depend on the requests.

/**
 * A size. `rows`: the number of rows of all requests together, one row each. `other`: not known,
 * but the same whether requests go together or alone.
 */
export type Size = number | 'rows' | 'other';

/** A value in which row i depends on nothing but row i of the inputs, or that depends on no row. */
export interface RowwiseValue {
  /** At most one of them is `rows`, which says where the rows lie. Undefined: no rows, rank not known. */
  readonly dims: readonly Size[] | undefined;
  /** Of small numbers and lists of numbers, where they are known: shapes, axes, bounds. */
  readonly elements?: readonly Size[] | undefined;
}

/** A value that may mix rows, and the first reason. */
export interface MixedValue {
  readonly mixed: string;
}

/** Undefined: an optional input that is left out. */
export type Value = RowwiseValue | MixedValue | undefined;

/** Says why a node is not shown to work row by row; caught where the node is. */
export class NotRowwise extends Error {}

export const isMixed = (value: Value): value is MixedValue =>
  value !== undefined && 'mixed' in value;

/** Of rank not known, and the same for all requests. */
export const FIXED: RowwiseValue = { dims: undefined };

export const rowwise = (dims: readonly Size[], elements?: readonly Size[]): RowwiseValue => ({
  dims: checked(dims),
  elements,
});

function checked(dims: readonly Size[]): readonly Size[] {
  if (dims.indexOf('rows') === dims.lastIndexOf('rows')) return dims;
  throw new NotRowwise('it brings each row together with every other');
}

/** Where the rows lie; undefined: it has none. */
export function rowAxisOf(value: RowwiseValue | undefined): number | undefined {
  const axis = value?.dims?.indexOf('rows') ?? -1;
  return axis === -1 ? undefined : axis;
}

/** Does it depend on no row, nor on their number? */
export const isFixed = (value: RowwiseValue | undefined): boolean =>
  rowAxisOf(value) === undefined && value?.elements?.includes('rows') !== true;

export function dimsOf(value: RowwiseValue | undefined): readonly Size[] {
  if (value?.dims === undefined) throw new NotRowwise('the rank of one of its inputs is not known');
  return value.dims;
}

/** An input that must be the same for all requests. */
export function fixed(value: RowwiseValue | undefined, what: string): RowwiseValue | undefined {
  if (!isFixed(value)) throw new NotRowwise(`its ${what} depends on the rows`);
  return value;
}

/** The known elements of a small list that is the same for all requests, but for the number of rows. */
export function elementsOf(value: RowwiseValue | undefined, what: string): readonly Size[] {
  if (value?.elements !== undefined) return value.elements;
  throw new NotRowwise(`its ${what} is not known beforehand`);
}

export function numbersOf(value: RowwiseValue | undefined, what: string): readonly number[] {
  const elements = elementsOf(value, what);
  if (elements.every((one) => typeof one === 'number')) return elements;
  throw new NotRowwise(`its ${what} is not known beforehand`);
}

export function axisOf(axis: number, rank: number): number {
  const own = axis < 0 ? axis + rank : axis;
  if (own < 0 || own >= rank) throw new NotRowwise(`it has no axis ${axis}`);
  return own;
}

/** An operator that works along an axis must not work along the rows. */
export function notAlong(value: RowwiseValue, axis: number): void {
  if (axis === rowAxisOf(value)) throw new NotRowwise('it works along the rows');
}

/** The rows must lie in front. */
export function rowsFirst(value: RowwiseValue | undefined): readonly Size[] {
  const dims = dimsOf(value);
  if (!isFixed(value) && dims[0] !== 'rows')
    throw new NotRowwise('the rows are not its first axis');
  return dims;
}

/** Product of sizes; `other` when one is not known. */
export function product(dims: readonly Size[]): Size {
  if (dims.includes('rows')) return 'rows';
  return dims.reduce<Size>(
    (all, one) => (typeof all === 'number' && typeof one === 'number' ? all * one : 'other'),
    1,
  );
}

function together(sizes: readonly Size[]): Size {
  const wide = sizes.filter((size) => size !== 1);
  if (wide.includes('rows')) {
    if (wide.every((size) => size === 'rows')) return 'rows';
    throw new NotRowwise('it brings rows together with values that are not of one row each');
  }
  return wide.find((size) => typeof size === 'number') ?? wide[0] ?? 1;
}

/** The sizes of tensors that are spread over each other from the right. */
export function broadcast(all: readonly (readonly Size[])[]): readonly Size[] {
  const rank = Math.max(0, ...all.map((dims) => dims.length));
  return Array.from({ length: rank }, (_, axis) => {
    const sizes = all.flatMap((dims) => dims[axis - rank + dims.length] ?? []);
    return together(sizes);
  });
}

/** The facts true of both: two branches, or a loop before and after an iteration. */
export function common(a: Value, b: Value): Value {
  if (isMixed(a) || a === undefined) return a;
  if (isMixed(b) || b === undefined) return b;
  if (rowAxisOf(a) !== rowAxisOf(b) || (!isFixed(a) && a.dims?.length !== b.dims?.length)) {
    return { mixed: 'the rows lie in different places in its branches or turns' };
  }
  const isSame = a.elements?.join() === b.elements?.join();
  const elements = isSame ? a.elements : undefined;
  const isSize = a.elements?.includes('rows') === true || b.elements?.includes('rows') === true;
  if (!isSame && isSize) return { mixed: 'it counts the rows' };
  if (a.dims?.length !== b.dims?.length) return FIXED;
  const dims = a.dims?.map((size, axis) => (size === b.dims?.[axis] ? size : 'other'));
  return { dims, elements };
}
