import { badRequest, shown } from './errors';
import type { ElementType, TensorData } from './element-type';

/** Values with a shape. `data` is flat, row-major; FP16 is kept as its 16 bits, BOOL as 0 and 1. */
export interface Tensor {
  readonly datatype: ElementType;
  readonly dims: readonly number[];
  readonly data: TensorData;
}

/** Tensors by the name of the graph's input or output. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** An input or output of a graph. */
export interface Port {
  readonly name: string;
  readonly datatype: ElementType;
  /** -1: any size. undefined: the graph does not even state the rank. */
  readonly shape: readonly number[] | undefined;
}

/** ONNX Runtime keeps sizes in 64 bits, but nothing that large can be a request. */
const MAX_DIMENSION = 2 ** 31 - 1;

/** Number of elements of a shape; `[]` is a scalar and has one. */
export function elementsOf(dims: readonly number[]): number {
  let count = 1;
  for (const size of dims) count *= size;
  return count;
}

/**
 * ONNX Runtime's binding makes each string anew, all of them in one step: 0.7 µs each in and out on
 * an idle machine, up to 2.6 µs on a busy one. Many operators calculate ten numbers meanwhile.
 */
const STRING_COST = 10;
/** So much takes a few milliseconds at least: 10,000 strings, or 100,000 numbers. */
export const LARGE_COST = 100_000;

/** What it takes to compute inputs, in numbers that an operator calculates. */
function costOf(inputs: Tensors): number {
  let cost = 0;
  for (const { datatype, data } of Object.values(inputs)) {
    cost += data.length * (datatype.bytes === 0 ? STRING_COST : 1);
  }
  return cost;
}

/** Are these inputs computed neither on the event loop nor together with those of others? */
export const isCostly = (inputs: Tensors): boolean => costOf(inputs) > LARGE_COST;

/** How many items are joined or computed before others have their turn. */
const PORTION = 1_000;

/** Items in portions that take a few milliseconds each; one that takes longer is alone. */
export function portionsOf(items: readonly Tensors[]): readonly (readonly Tensors[])[] {
  const portions: Tensors[][] = [];
  let cost = Infinity;
  for (const item of items) {
    const own = costOf(item);
    const last = portions.at(-1);
    if (last === undefined || last.length >= PORTION || cost + own > LARGE_COST) {
      portions.push([item]);
      cost = own;
    } else {
      last.push(item);
      cost += own;
    }
  }
  return portions;
}

/** Checks that a caller's `shape` is a list of sizes. */
export function checkedDims(shape: unknown, name: string): number[] {
  if (!Array.isArray(shape)) {
    throw badRequest(`input '${name}': shape is ${shown(shape)}; it must be a list of integers`);
  }
  let count = 1;
  for (const size of shape as unknown[]) {
    if (typeof size !== 'number' || !Number.isInteger(size) || size < 0 || size > MAX_DIMENSION) {
      throw badRequest(
        `input '${name}': shape holds ${shown(size)}; each size must be an integer from 0 to ${MAX_DIMENSION}`,
      );
    }
    count *= size;
  }
  if (count > Number.MAX_SAFE_INTEGER) {
    throw badRequest(`input '${name}': the sizes of its shape multiply to more than 2^53 elements`);
  }
  return shape as number[];
}

/** `[-1,4]` as people read it; an unknown rank is `[...]`. */
export const shapeText = (shape: readonly number[] | undefined): string =>
  shape === undefined ? '[...]' : `[${shape.join(',')}]`;

/** Does a shape fit what the graph declares (-1 fits any size)? */
function fits(dims: readonly number[], shape: readonly number[] | undefined): boolean {
  if (shape === undefined) return true;
  if (dims.length !== shape.length) return false;
  for (let i = 0; i < dims.length; i += 1) {
    const wanted = shape[i] ?? -1;
    if (wanted !== -1 && wanted !== dims[i]) return false;
  }
  return true;
}

export function checkFits(dims: readonly number[], port: Port): void {
  if (fits(dims, port.shape)) return;
  throw badRequest(
    `input '${port.name}': got shape ${shapeText(dims)}, the model takes ${shapeText(port.shape)}` +
      (port.shape?.includes(-1) === true ? ' (-1 is any size)' : ''),
  );
}
