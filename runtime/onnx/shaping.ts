import { closest } from '../../lib/spec/closest';
import { badRequest, listed, shown } from './errors';
import { readElements } from './elements';
import { checkFits } from './tensor';
import type { Port, Tensor, Tensors } from './tensor';
import { entryOf, isObject } from '../../lib/spec/entry';

/** NumPy's own limit; deeper lists are not tensors. */
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

/** Is it `[batch,1]`, `[batch,1,1]`, …: one value in each row? */
const isColumn = ({ shape }: Port): boolean =>
  shape !== undefined && shape.length > 1 && shape.slice(1).every((size) => size === 1);

/**
 * Rows of plain values, `[1,2,3]` for a graph's [batch,1]: as `shaped`, but dimensions of one may
 * stand behind.
 */
export function shapedColumn(value: unknown, port: Port): Tensor {
  const own = dimsOf(value, port.name);
  const [rows = 0] = own;
  if (!isColumn(port) || own.length !== 1 || rows === 0) return shaped(value, port);
  const dims = [rows, ...(port.shape ?? []).slice(1)];
  checkFits(dims, port);
  return {
    datatype: port.datatype,
    dims,
    data: readElements(value, port.datatype, own, port.name),
  };
}

/** A default, which is one row, in as many rows as were given. */
function repeated(tensor: Tensor, rows: number): Tensor {
  const { datatype, dims, data } = tensor;
  const all = datatype.make(data.length * rows) as unknown[];
  for (let i = 0; i < all.length; i += 1) all[i] = data[i % data.length];
  return { datatype, dims: [rows, ...dims.slice(1)], data: all as unknown as Tensor['data'] };
}

const isDynamic = ({ shape }: Port): boolean => shape?.[0] === -1;

const rowsIn = ({ dims: [rows = 1] }: Tensor): number => rows;

/** A graph may take one value for all rows and give wrong answers without a word. */
function checkColumns(what: string, given: ReadonlyMap<Port, Tensor>): void {
  const columns = [...given].filter(([port]) => isColumn(port) && isDynamic(port));
  const [first] = columns;
  const other = columns.find(([, one]) => first !== undefined && rowsIn(one) !== rowsIn(first[1]));
  if (first === undefined || other === undefined) return;
  throw badRequest(
    `${what}: '${first[0].name}' has ${rowsIn(first[1])} rows, ` +
      `'${other[0].name}' has ${rowsIn(other[1])}; give each input as many`,
  );
}

/**
 * The tensors of all inputs: those that are given, and the defaults in as many rows.
 * Throws ServeError 400 when one is missing.
 */
export function filled(
  ports: readonly Port[],
  what: string,
  defaults: ReadonlyMap<string, Tensor>,
  valueOf: (port: Port) => Tensor | undefined,
): Tensors {
  const given = new Map<Port, Tensor>();
  for (const port of ports) {
    const tensor = valueOf(port);
    if (tensor !== undefined) given.set(port, tensor);
  }
  checkColumns(what, given);
  const dynamic = [...given].filter(([port]) => isDynamic(port));
  const rows = Math.max(1, ...dynamic.map(([, tensor]) => rowsIn(tensor)));
  const all = ports.map((port): readonly [string, Tensor] => {
    const own = given.get(port) ?? defaults.get(port.name);
    if (own === undefined) {
      const names = listed(ports.map(({ name }) => name));
      throw badRequest(`${what}: '${port.name}' is missing; the model takes ${names}`);
    }
    const isOne = !given.has(port) && isDynamic(port) && own.dims[0] === 1;
    return [port.name, isOne && rows > 1 ? repeated(own, rows) : own];
  });
  return Object.fromEntries(all);
}

/** `a.b` of `{"a":{"b":1}}`, or of `{"a.b":1}`; undefined when it is not there. */
export function valueAt(input: Record<string, unknown>, path: string): unknown {
  if (Object.hasOwn(input, path)) return entryOf(input, path);
  let inner: unknown = input;
  for (const key of path.split('.')) {
    if (!isObject(inner) || !Object.hasOwn(inner, key)) return undefined;
    inner = entryOf(inner, key);
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
      const inner = entryOf(value, key);
      const leads = known.some((name) => name.startsWith(`${path}.`));
      if (leads && isObject(inner)) visit(inner, `${path}.`);
      else stray.push(path);
    }
  };
  visit(input, '');
  return stray;
}

/** The name that was probably meant: by a slip or two, or because only the folder is missing. */
function nearest(word: string, known: readonly string[]): string | undefined {
  const last = word.slice(word.lastIndexOf('.') + 1);
  const tail = known.find((name) => name.slice(name.lastIndexOf('.') + 1) === last);
  return tail ?? closest(word, known);
}

/** `'symptom' (did you mean 'symptoms'?)` */
export function withHint(word: string, known: readonly string[]): string {
  const meant = nearest(word, known);
  return meant === undefined ? shown(word) : `${shown(word)} (did you mean ${shown(meant)}?)`;
}
