import { tryFindByOrt } from '../../runtime/onnx/element-type';
import type { ElementType, OrtType } from '../../runtime/onnx/element-type';
import { ServeError } from '../../runtime/onnx/errors';
import { Executor } from '../../runtime/onnx/executor';
import { RequestLifetime, ConcurrencyLimiter } from '../../runtime/onnx/concurrency-limiter';
import type { Model } from '../../runtime/onnx/model';
import { padded } from '../../runtime/onnx/native';
import { inputSettingsFrom } from '../../runtime/onnx/large/codec-tasks';
import { portionsOf } from '../../runtime/onnx/tensor';
import type { Tensor, Tensors } from '../../runtime/onnx/tensor';

// Calls of many rows: between portions of them others have their turn.

const FLOAT = tryFindByOrt('float32') as ElementType;

const row = (...values: readonly number[]): Tensors => ({
  x: { datatype: FLOAT, dims: [1, values.length], data: Float32Array.from(values) },
});
const valuesOf = (item: Tensors | ServeError | undefined): readonly number[] =>
  item === undefined || item instanceof ServeError
    ? []
    : Array.from((item['x'] as Tensor).data as Float32Array);

/** A graph that gives back what it gets, and the rows of each of its runs. */
function echo(): { readonly model: Model; readonly runs: number[] } {
  const runs: number[] = [];
  const port = { name: 'x', datatype: FLOAT, shape: [-1, -1] };
  const model = {
    name: 'm',
    inputs: [port],
    outputs: [port],
    independence: { isShown: true },
    isInThread: () => false,
    run: async (inputs: Tensors) => {
      runs.push(inputs['x']?.dims[0] ?? 0);
      return inputs;
    },
  } as unknown as Model;
  return { model, runs };
}

/** Counts turns of the event loop until `done`. */
async function turnsUntil<T>(done: Promise<T>): Promise<{ readonly value: T; turns: number }> {
  let turns = 0;
  let isDone = false;
  const count = (): void => {
    turns += 1;
    if (!isDone) setImmediate(count);
  };
  setImmediate(count);
  const value = await done.finally(() => (isDone = true));
  return { value, turns };
}

test('20,001 rows of one call are batched and cut in portions, with their results in order', async () => {
  const { model, runs } = echo();
  const items = Array.from({ length: 20_001 }, (_, at) => row(at, -at));
  const executor = new Executor(model, new ConcurrencyLimiter(1, 1), () => undefined);
  const { value, turns } = await turnsUntil(
    executor.runAll(items, ['x'], new RequestLifetime(Infinity)),
  );
  expect(Math.max(...runs)).toBe(1000);
  expect(turns).toBeGreaterThanOrEqual(20);
  expect(value).toHaveLength(20_001);
  for (const at of [0, 999, 1000, 20_000]) expect(valuesOf(value[at])).toEqual([at, -at]);
});

test('rows of many numbers, or of strings, are in smaller portions', () => {
  const of = (type: OrtType, count: number): Tensors => {
    const datatype = tryFindByOrt(type) as ElementType;
    return { x: { datatype, dims: [1, count], data: datatype.make(count) } };
  };
  const sizes = (type: OrtType, ...counts: readonly number[]): readonly number[] =>
    portionsOf(counts.map((count) => of(type, count))).map(({ length }) => length);
  expect(sizes('float32', 50_000, 50_000, 1)).toEqual([2, 1]);
  expect(sizes('string', 5000, 5000, 1)).toEqual([2, 1]);
  expect(sizes('float32', 1, 1_000_000, 1, 1)).toEqual([1, 1, 2]);
  expect(sizes('float32')).toEqual([]);
});

test('a very long row of a padded input does not widen others', () => {
  const settings = inputSettingsFrom({
    name: 'm',
    version: '1',
    inputs: [{ name: 'x', type: 'float32', shape: [-1, -1] }],
    outputs: [{ name: 'x', type: 'float32', shape: [-1, -1] }],
    metadata: new Map([['padding.x', '-1']]),
    classes: new Map(),
    integerMode: 'doubles',
  });
  const widths = (...items: readonly Tensors[]): readonly number[] =>
    padded(settings, items).map((item) => (item['x'] as Tensor).data.length);
  expect(widths(row(1, 2, 3), row(1))).toEqual([3, 3]);
  const long = row(...Array<number>(60_000).fill(1));
  expect(widths(long, row(1))).toEqual([60_000, 1]);
});
