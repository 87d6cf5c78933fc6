import type { Datatype } from '../../runtime/onnx/datatype';
import { tryFindByOrt } from '../../runtime/onnx/datatype';
import type { Model } from '../../runtime/onnx/model';
import type { Tensor, Tensors } from '../../runtime/onnx/tensor';
import { Joiner } from '../../runtime/onnx/trust';

const FP32 = tryFindByOrt('float32') as Datatype;
const column = (...values: readonly number[]): Tensors => ({
  x: { datatype: FP32, dims: [values.length, 1], data: Float32Array.from(values) },
});

/** A graph that subtracts the mean of the batch; each run ends when the test says so. */
function mixing(): { readonly model: Model; readonly pending: (() => void)[] } {
  const pending: (() => void)[] = [];
  const port = { name: 'x', datatype: FP32, shape: [-1, 1] };
  const run = (inputs: Tensors): Promise<Tensors> => {
    const { data } = inputs['x'] as Tensor;
    const given = [...(data as Float32Array)];
    const mean = given.reduce((sum, one) => sum + one, 0) / given.length;
    return new Promise((resolve) => {
      pending.push(() => resolve(column(...given.map((one) => one - mean))));
    });
  };
  return { model: { inputs: [port], outputs: [port], run } as unknown as Model, pending };
}

test('a joined run that was under way when another found the graph out is not believed', async () => {
  const { model, pending } = mixing();
  const joiner = new Joiner(model);
  expect(joiner.possible).toBe(true);
  const first = joiner.run([column(0), column(2)], ['x']);
  const second = joiner.run([column(4), column(8)], ['x']);
  pending.shift()?.();
  const late = pending.shift();
  // The first is compared with single runs, and refuted by the first of them.
  while (pending.length === 0) await new Promise((resolve) => setImmediate(resolve));
  pending.shift()?.();
  expect(await first).toBeUndefined();
  expect(joiner.possible).toBe(false);
  late?.();
  expect(await second).toBeUndefined();
});
