import type { ElementType } from '../../runtime/onnx/element-type';
import { tryFindByOrt } from '../../runtime/onnx/element-type';
import { ServeError } from '../../runtime/onnx/errors';
import type { Tensor, Tensors } from '../../runtime/onnx/tensor';
import { BatchRunner } from '../../runtime/onnx/batch-runner';
import type { BatchableModel, BatchRunnerOptions } from '../../runtime/onnx/batch-runner';

const FP32 = tryFindByOrt('float32') as ElementType;
const column = (...values: readonly number[]): Tensor => ({
  datatype: FP32,
  dims: [values.length, 1],
  data: Float32Array.from(values),
});
const x = (...values: readonly number[]): Tensors => ({ x: column(...values) });
const valuesOf = ({ data }: Tensor): number[] => [...(data as Float32Array)];

type Run = (inputs: Tensors) => Promise<Tensors> | Tensors;

function modelOf(run: Run, isShown: boolean, names: readonly string[] = ['x']): BatchableModel {
  const ports = names.map((name) => ({ name, datatype: FP32, shape: [-1, 1] }));
  const independence = isShown ? ({ isShown } as const) : { isShown, reason: 'it mixes' };
  const [output] = ports as [(typeof ports)[number]];
  return {
    name: 'm',
    inputs: ports,
    outputs: [output],
    run: async (inputs) => run(inputs),
    independence,
  };
}

const doubled: Run = (inputs) => x(...valuesOf(inputs['x'] as Tensor).map((one) => one * 2));
const lessMean: Run = (inputs) => {
  const all = valuesOf(inputs['x'] as Tensor);
  const mean = all.reduce((sum, one) => sum + one, 0) / all.length;
  return x(...all.map((one) => one - mean));
};

/** Never drawn for a sample, unless a test says so. */
const batchRunnerOf = (model: BatchableModel, options: BatchRunnerOptions = {}): BatchRunner =>
  new BatchRunner(model, { random: () => 0.999, ...options });

/** A model that counts its runs. */
function counted(run: Run, isShown = true) {
  const rows: number[] = [];
  const model = modelOf((inputs) => {
    rows.push(inputs['x']?.dims[0] ?? 0);
    return run(inputs);
  }, isShown);
  return { model, rows };
}

const dataOf = (parts: readonly Tensors[] | undefined): unknown =>
  parts?.map(({ x: output }) => valuesOf(output as Tensor));

test('does not batch without a proof by the graph or a statement of the author, whatever was compared', async () => {
  const { model, rows } = counted(doubled, false);
  const runner = batchRunnerOf(model);
  expect(runner.isPossible).toBe(false);
  expect(await runner.run([x(1), x(2)], ['x'])).toBeUndefined();
  expect(rows).toEqual([]);
});

test('batches by proof of the graph, and also runs the first different rows alone', async () => {
  const { model, rows } = counted(doubled);
  const runner = batchRunnerOf(model);
  for (let at = 0; at < 5; at += 1) {
    expect(dataOf(await runner.run([x(at), x(at + 1)], ['x']))).toEqual([[2 * at], [2 * at + 2]]);
  }
  expect(rows).toEqual([2, 1, 1, 2, 1, 1, 2, 1, 1, 2, 2]);
});

test('compares different requests after any number of equal ones, which prove nothing', async () => {
  const told: string[] = [];
  const options = { isStated: true, onDifferent: (reason: string) => told.push(reason) };
  const runner = batchRunnerOf(modelOf(lessMean, false), options);
  for (let at = 0; at < 50; at += 1) {
    expect(dataOf(await runner.run([x(3), x(3)], ['x']))).toEqual([[0], [0]]);
  }
  expect(runner.isPossible).toBe(true);
  expect(await runner.run([x(4), x(8)], ['x'])).toBeUndefined();
  expect(runner.isPossible).toBe(false);
  expect(told).toEqual(['a joined run gave another answer than a single one']);
});

test('needs different rows in each input: rows equal in all requests prove nothing about it', async () => {
  const sums: Run = (inputs) => {
    const scale = valuesOf(inputs['scale'] as Tensor);
    const mean = scale.reduce((sum, one) => sum + one, 0) / scale.length;
    return x(...valuesOf(inputs['x'] as Tensor).map((one) => one * mean));
  };
  const runner = batchRunnerOf(modelOf(sums, false, ['x', 'scale']), { isStated: true });
  const item = (value: number, scale: number): Tensors => ({
    ...x(value),
    scale: column(scale),
  });
  for (let at = 0; at < 20; at += 1) {
    expect(await runner.run([item(at, 2), item(at + 1, 2)], ['x'])).toBeDefined();
  }
  expect(await runner.run([item(1, 2), item(1, 4)], ['x'])).toBeUndefined();
  expect(runner.isPossible).toBe(false);
});

test('samples batched runs for ever, and ends batching at a difference', async () => {
  let run = doubled;
  let drawn = 0.999;
  let compared = 0;
  const runner = batchRunnerOf(
    modelOf((inputs) => run(inputs), true),
    { random: () => drawn, onCompared: () => (compared += 1) },
  );
  for (let at = 0; at < 10; at += 1) await runner.run([x(at), x(at + 1)], ['x']);
  expect(compared).toBe(3);
  drawn = 0;
  await runner.run([x(1), x(2)], ['x']);
  expect(compared).toBe(4);
  run = lessMean;
  drawn = 0.999;
  expect(dataOf(await runner.run([x(1), x(3)], ['x']))).toEqual([[-1], [1]]);
  drawn = 0;
  expect(await runner.run([x(1), x(3)], ['x'])).toBeUndefined();
  expect(runner.isPossible).toBe(false);
});

test('compares about one batched run in a thousand, with four of its requests', async () => {
  const { model, rows } = counted(doubled);
  let turn = 0;
  const runner = batchRunnerOf(model, { random: () => (turn++ % 1000) / 1000 });
  const eight = Array.from({ length: 8 }, (_, at) => x(at));
  for (let at = 0; at < 3; at += 1) await runner.run(eight, ['x']);
  rows.length = 0;
  for (let at = 0; at < 3000; at += 1) await runner.run(eight, ['x']);
  const single = rows.filter((one) => one === 1).length;
  expect([single % 4, single / 4 >= 2, single / 4 <= 4]).toEqual([0, true, true]);
});

test('ends batching when a request is refused alone and was answered with others', async () => {
  const run: Run = (inputs) => {
    if (inputs['x']?.dims[0] === 1) throw new ServeError(400, 'no');
    return doubled(inputs);
  };
  const runner = batchRunnerOf(modelOf(run, true));
  expect(await runner.run([x(1), x(2)], ['x'])).toBeUndefined();
  expect(runner.isPossible).toBe(false);
});

test('ends batching at a run without a row for each row', async () => {
  const runner = batchRunnerOf(modelOf(() => x(1), true));
  expect(await runner.run([x(1), x(2)], ['x'])).toBeUndefined();
  expect(runner.isPossible).toBe(false);
});

test('discards a batched run that was running when another one ended batching', async () => {
  const pending: (() => void)[] = [];
  const run: Run = (inputs) =>
    new Promise((resolve) => {
      pending.push(() => resolve(lessMean(inputs)));
    });
  const runner = batchRunnerOf(modelOf(run, true));
  const first = runner.run([x(0), x(2)], ['x']);
  const second = runner.run([x(4), x(8)], ['x']);
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  await turn();
  pending.shift()?.();
  const late = pending.shift();
  // The first is compared with single runs, and refuted by the first of them.
  while (pending.length === 0) await turn();
  pending.shift()?.();
  expect(await first).toBeUndefined();
  expect(runner.isPossible).toBe(false);
  late?.();
  expect(await second).toBeUndefined();
});
