import { AdaptiveEngine } from '../../runtime/onnx/engine';
import type { Engine, RawOutputs, Recipe } from '../../runtime/onnx/session';

const OUTPUTS = {} as RawOutputs;

/** An engine whose runs end when the test says so; a run after its end fails, as with ONNX Runtime. */
function engineOf(): Engine & { readonly pending: (() => void)[]; isClosed: boolean } {
  const engine = {
    pending: [] as (() => void)[],
    isClosed: false,
    run: () =>
      new Promise<RawOutputs>((resolve, reject) => {
        engine.pending.push(() =>
          engine.isClosed ? reject(new Error('Session already disposed.')) : resolve(OUTPUTS),
        );
      }),
    close: async () => {
      engine.isClosed = true;
    },
  };
  return engine;
}

test('a run that began while a slow graph moves to its thread ends on the session it began on', async () => {
  let clock = 0;
  let moved: (engine: Engine) => void = () => undefined;
  const [first, second] = [engineOf(), engineOf()];
  const move = (): Promise<Engine> => new Promise((resolve) => (moved = resolve));
  const engine = new AdaptiveEngine(
    { kind: 'inline', engine: first },
    {} as Recipe,
    move,
    () => clock,
  );
  for (let round = 0; round < 3; round += 1) {
    const run = engine.run({}, []);
    clock += 1000;
    first.pending.shift()?.();
    await run;
  }
  const meanwhile = engine.run({}, []);
  expect(first.pending).toHaveLength(1);
  moved(second);
  await new Promise((resolve) => setImmediate(resolve));
  expect([engine.isApart, first.isClosed]).toEqual([true, false]);
  first.pending.shift()?.();
  expect(await meanwhile).toBe(OUTPUTS);
  await new Promise((resolve) => setImmediate(resolve));
  expect(first.isClosed).toBe(true);
});
