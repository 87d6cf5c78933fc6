import { Worker } from 'node:worker_threads';
import type { LargeTask } from '../../runtime/data/transcode/large-task';
import { LargeThread } from '../../runtime/data/thread/large-thread';

let thread: LargeThread;

beforeEach(() => {
  thread = new LargeThread();
});

afterEach(() => {
  thread.close();
  jest.restoreAllMocks();
});

test('a large body is transferred to the thread without one long copy, and stays usable here', async () => {
  const posted = jest.spyOn(Worker.prototype, 'postMessage');
  const body = Buffer.from(`{"model":"a","x":"${'b'.repeat(3_000_000)}"}`);
  expect(await thread.run({ op: 'model_names', body })).toEqual(['a']);
  const [task, given] = posted.mock.calls[0] as unknown as [LargeTask, readonly unknown[]];
  // What was given away has no bytes left here: it was moved.
  expect(task).toMatchObject({ op: 'model_names', body: { byteLength: 0 } });
  expect(given).toHaveLength(1);
  expect(body.subarray(-3).toString()).toBe('b"}');
});

test('a thread that is closed during a copy refuses the task and runs the next', async () => {
  const body = Buffer.from(`{"model":"a","x":"${'b'.repeat(3_000_000)}"}`);
  const lost = thread.run({ op: 'model_names', body });
  thread.close();
  await expect(lost).rejects.toThrow('the service ends');
  expect(await thread.run({ op: 'model_names', body })).toEqual(['a']);
});
