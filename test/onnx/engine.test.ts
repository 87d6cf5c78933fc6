import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { tryFindByOrt } from '../../runtime/onnx/element-type';
import type { ElementType } from '../../runtime/onnx/element-type';
import { AdaptiveEngine } from '../../runtime/onnx/engine';
import type { GraphRequest } from '../../runtime/onnx/graph-worker';
import type { Engine, SessionSpec } from '../../runtime/onnx/session';
import type { Tensor, Tensors } from '../../runtime/onnx/tensor';
import { startThread } from '../../runtime/onnx/thread';
import { FIXTURES } from './support/server';

const OUTPUTS: Tensors = {};

/** An engine whose runs end when the test says so; a run after its end fails, as with ONNX Runtime. */
function engineOf(): Engine & { readonly pending: (() => void)[]; isClosed: boolean } {
  const engine = {
    pending: [] as (() => void)[],
    isClosed: false,
    run: () =>
      new Promise<Tensors>((resolve, reject) => {
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

const strings = (count: number): Tensors => ({
  x: {
    datatype: tryFindByOrt('string') as ElementType,
    dims: [count],
    data: Array.from({ length: count }, (_, at) => `word ${at}`),
  },
});

/** An engine whose thread is another one of the test's. */
function moving(now: () => number = () => 0) {
  const [first, second] = [engineOf(), engineOf()];
  let moves = 0;
  const move = async (): Promise<Engine> => {
    moves += 1;
    return second;
  };
  const place = { kind: 'inline', engine: first } as const;
  const engine = new AdaptiveEngine(place, {} as SessionSpec, move, now);
  return { engine, first, second, moves: () => moves };
}

const turn = (): Promise<unknown> => new Promise((resolve) => setImmediate(resolve));

test('slow inputs are never computed on the event loop, from the first request on', async () => {
  const { engine, first, second, moves } = moving();
  const small = engine.run(strings(10_000), []);
  expect(first.pending).toHaveLength(1);
  first.pending.shift()?.();
  await small;
  const runs = [engine.run(strings(10_001), []), engine.run(strings(10_001), [])];
  await turn();
  expect([first.pending.length, second.pending.length, moves()]).toEqual([0, 2, 1]);
  for (const end of second.pending) end();
  expect(await Promise.all(runs)).toEqual([OUTPUTS, OUTPUTS]);
});

test('without a second session slow inputs are computed on the first', async () => {
  const first = engineOf();
  const move = (): Promise<Engine> => Promise.reject(new Error('no memory'));
  const engine = new AdaptiveEngine({ kind: 'inline', engine: first }, {} as SessionSpec, move);
  const run = engine.run(strings(10_001), []);
  await turn();
  first.pending.shift()?.();
  expect(await run).toBe(OUTPUTS);
});

test('a run that blocks the event loop moves the graph at once', async () => {
  let clock = 0;
  const { engine, first, moves } = moving(() => clock);
  for (const milliseconds of [50, 51]) {
    expect(moves()).toBe(0);
    const run = engine.run({}, []);
    clock += milliseconds;
    first.pending.shift()?.();
    await run;
  }
  expect(moves()).toBe(1);
});

test('strings pass to the thread of a graph, and back, as one piece of memory', async () => {
  const post = jest.spyOn(Worker.prototype, 'postMessage');
  const source = path.join(FIXTURES, 'identity_string.onnx');
  const engine = await startThread({ source, options: {} });
  const { x } = strings(12_000) as { x: Tensor };
  const inputs = { x: { ...x, dims: [1, 12_000] } };
  const { y } = await engine.run(inputs, ['y']);
  expect(y?.data).toEqual(x.data);
  const [message, memory] = post.mock.calls[0] as unknown as [GraphRequest, ArrayBuffer[]];
  const { strings: bytes, numbers } = message?.inputs.columns[0] ?? {};
  expect([numbers, bytes?.byteLength, memory.length]).toEqual([undefined, 0, 3]);
  await engine.close();
  post.mockRestore();
});

test('a run that began while a slow graph moves to its thread ends on its first session', async () => {
  let clock = 0;
  let moved: (engine: Engine) => void = () => undefined;
  const [first, second] = [engineOf(), engineOf()];
  const move = (): Promise<Engine> => new Promise((resolve) => (moved = resolve));
  const engine = new AdaptiveEngine(
    { kind: 'inline', engine: first },
    {} as SessionSpec,
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
  expect([engine.isInThread, first.isClosed]).toEqual([true, false]);
  first.pending.shift()?.();
  expect(await meanwhile).toBe(OUTPUTS);
  await new Promise((resolve) => setImmediate(resolve));
  expect(first.isClosed).toBe(true);
});
