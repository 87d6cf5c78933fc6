import { TaskThread } from '../../runtime/shared/taskthread';

// A thread with a queue before it, which the router and the ONNX server have for what is large.

interface Told {
  readonly squared?: number;
  readonly error?: string;
}

const SOURCE = `
const { parentPort, workerData, threadId } = require('node:worker_threads');
parentPort.on('message', ({ number }) => {
  if (number === 0) process.exit(1);
  parentPort.postMessage(number < 0 ? { error: 'negative' } : { squared: number ** workerData });
});`;

const outcomeOf = ({ squared, error }: Told): unknown => {
  if (error === undefined) return squared;
  throw new Error(error);
};

let thread: TaskThread<Told>;
beforeEach(() => {
  thread = new TaskThread<Told>({
    source: () => SOURCE,
    data: 2,
    limits: {},
    outcomeOf,
    tooMuch: () => new Error('too much'),
    closed: () => new Error('closed'),
  });
});
afterEach(() => thread.close());

const run = (number: number): Promise<unknown> =>
  thread.run(() => ({ task: { number }, memory: [] })).catch(({ message }: Error) => message);

test('each task has its own result, and one that crashes the thread affects no other', async () => {
  const all = [run(3), run(-1), run(0), run(4)];
  expect(thread.waiting).toBe(3);
  expect(await Promise.all(all)).toEqual([9, 'negative', 'too much', 16]);
});

test('a task that cannot be sent fails alone', async () => {
  const failing = thread.run(() => Promise.reject(new RangeError('no memory')));
  const next = run(5);
  await expect(failing).rejects.toThrow('no memory');
  expect(await next).toBe(25);
});

test('a close rejects all waiting tasks; a later task starts the thread again', async () => {
  const all = [run(3), run(4), run(5)];
  thread.close();
  expect(await Promise.all(all)).toEqual(['closed', 'closed', 'closed']);
  expect(await run(6)).toBe(36);
});
