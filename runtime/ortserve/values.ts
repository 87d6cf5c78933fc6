import { fromJson } from './elements';
import { badRequest, shown } from './errors';
import { isObject } from './json';
import type { Session } from './session';
import type { Port, Tensor } from './tensor';
import { checkFits } from './tensor';

/** The sizes of nested lists; of a ragged one those of its first branch, which the elements then tell. */
export function dimsOf(value: unknown): number[] {
  if (!Array.isArray(value)) return [];
  return value.length === 0 ? [0] : [value.length, ...dimsOf(value[0])];
}

function checkRegular(name: string, value: unknown, dims: readonly number[]): void {
  const [length, ...rest] = dims;
  if (length === undefined) {
    if (!Array.isArray(value) && !isObject(value) && value !== null) return;
    throw badRequest(`input '${name}': got ${shown(value)} where one value belongs`);
  }
  if (!Array.isArray(value) || value.length !== length) {
    throw badRequest(`input '${name}': lists of one level must have the same length`);
  }
  for (const inner of value) checkRegular(name, inner, rest);
}

/** One item's value as a tensor with a batch of one in front, where the graph wants one. */
export function tensorOfValue(value: unknown, port: Port): Tensor {
  const own = dimsOf(value);
  checkRegular(port.name, value, own);
  const rank = port.shape?.length ?? own.length + 1;
  const dims = [...Array<number>(Math.max(0, rank - own.length)).fill(1), ...own];
  checkFits(dims, port);
  const { name, datatype } = port;
  return { datatype, dims, data: fromJson(name, datatype, dims, value) };
}

/** `a.b` in `{"a": {"b": 1}}`, or under its dotted name; undefined when it is not there. */
export function valueAt(input: Record<string, unknown>, name: string): unknown {
  if (Object.hasOwn(input, name)) return input[name];
  let inner: unknown = input;
  for (const key of name.split('.')) {
    if (!isObject(inner) || !Object.hasOwn(inner, key)) return undefined;
    inner = inner[key];
  }
  return inner;
}

/** The default that the model's metadata states for an input, parsed once per model. */
export function defaultsOf({ graph, name }: Session): ReadonlyMap<string, Tensor> {
  const found = graph.inputs.flatMap((port) => {
    const text = graph.metadata.get(`default.${port.name}`);
    if (text === undefined) return [];
    try {
      return [[port.name, tensorOfValue(JSON.parse(text), port)] as const];
    } catch (error) {
      const words = (error as Error).message;
      throw new Error(`model ${name}: metadata default.${port.name} is ${text}: ${words}`, {
        cause: error,
      });
    }
  });
  return new Map(found);
}

/** The class names that the metadata states for an output. */
export function classesOf({ graph }: Session, output: string): readonly string[] | undefined {
  const text = graph.metadata.get(`classes.${output}`);
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value.map(String) : undefined;
  } catch {
    return undefined;
  }
}

/** What stands for "nothing here" in an input, so that lists of different lengths can share a run. */
export function paddingOf({ graph }: Session, input: string): string | undefined {
  const text = graph.metadata.get(`padding.${input}`);
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}
