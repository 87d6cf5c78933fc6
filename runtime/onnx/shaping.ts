import { closest } from '../../lib/spec/closest';
import { badRequest, shown } from './errors';
import { readElements } from './elements';
import { isObject } from './json';
import { checkFits } from './tensor';
import type { Port, Tensor } from './tensor';

/** NumPy's own limit; deeper lists are no tensor but an attack. */
const MAX_RANK = 32;

/** The sizes of nested lists, by their first branches; that the others agree is checked on reading. */
function dimsOf(value: unknown, name: string): number[] {
  const dims: number[] = [];
  let inner = value;
  while (Array.isArray(inner)) {
    if (dims.length === MAX_RANK) {
      throw badRequest(`'${name}': lists are nested deeper than ${MAX_RANK} levels`);
    }
    dims.push(inner.length);
    inner = (inner as unknown[])[0];
  }
  return dims;
}

/**
 * A plain JSON value as a tensor: `35` for a graph's [batch,1] becomes shape [1,1], `["a","b"]` for
 * [batch,any] becomes [1,2]. Dimensions of one are put in front up to the graph's rank.
 */
export function shaped(value: unknown, port: Port): Tensor {
  if (isObject(value)) {
    throw badRequest(`'${port.name}' is an object; it must be a value or a list`);
  }
  const own = dimsOf(value, port.name);
  const rank = port.shape?.length ?? own.length + 1;
  const front = Array<number>(Math.max(0, rank - own.length)).fill(1);
  const dims = [...front, ...own];
  checkFits(dims, port);
  const data = readElements(value, port.datatype, own, port.name);
  return { datatype: port.datatype, dims, data };
}

/** Rows of plain values, `[1,2,3]` for a graph's [batch,1]: as `shaped`, but a one may stand behind. */
export function shapedColumn(value: unknown, port: Port): Tensor {
  const own = dimsOf(value, port.name);
  const isColumn = port.shape?.length === 2 && port.shape[1] === 1 && own.length === 1;
  if (!isColumn) return shaped(value, port);
  const dims = [...own, 1];
  checkFits(dims, port);
  return {
    datatype: port.datatype,
    dims,
    data: readElements(value, port.datatype, own, port.name),
  };
}

/** `a.b` of `{"a":{"b":1}}`, or of `{"a.b":1}`; undefined when it is not there. */
export function valueAt(input: Record<string, unknown>, path: string): unknown {
  if (Object.hasOwn(input, path)) return input[path];
  let inner: unknown = input;
  for (const key of path.split('.')) {
    if (!isObject(inner) || !Object.hasOwn(inner, key)) return undefined;
    inner = inner[key];
  }
  return inner;
}

/** Paths in an object that no input reads. */
export function strayPaths(input: Record<string, unknown>, known: readonly string[]): string[] {
  const stray: string[] = [];
  const visit = (value: Record<string, unknown>, prefix: string): void => {
    for (const key of Object.keys(value)) {
      const path = prefix + key;
      if (known.includes(path)) continue;
      const inner = value[key];
      const leads = known.some((name) => name.startsWith(`${path}.`));
      if (leads && isObject(inner)) visit(inner, `${path}.`);
      else stray.push(path);
    }
  };
  visit(input, '');
  return stray;
}

/** The name that was probably meant: by a slip or two, or because only the folder is missing. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const last = word.slice(word.lastIndexOf('.') + 1);
  const tail = known.find((name) => name.slice(name.lastIndexOf('.') + 1) === last);
  return tail ?? closest(word, known);
}

/** `'symptom' (did you mean 'symptoms'?)` */
export function withHint(word: string, known: readonly string[]): string {
  const meant = nearest(word, known);
  return meant === undefined ? shown(word) : `${shown(word)} (did you mean ${shown(meant)}?)`;
}
