import { setImmediate as turn } from 'node:timers/promises';
import type { ExportResult } from '../../runtime/traces/span-queue';
import { SpanQueue } from '../../runtime/traces/span-queue';
import type { EndedSpan } from '../../runtime/traces/tracer';
import { manualClock } from '../support/manual-clock';

const DONE: ExportResult = { kind: 'done', rejected: 0 };

function open(answers: (nth: number) => ExportResult | Promise<ExportResult>, maxSpans = 1000) {
  const clock = manualClock();
  const sent: number[] = [];
  const told: unknown[] = [];
  const quiet = (): void => undefined;
  const queue = new SpanQueue({
    ...clock,
    maxSpans,
    timeoutMs: 10_000,
    send: async (spans) => {
      sent.push(spans.length);
      return answers(sent.length);
    },
    log: { debug: quiet, info: quiet, error: quiet, warn: (_, fields) => told.push(fields) },
  });
  const add = (count: number): void => {
    for (let index = 0; index < count; index += 1) queue.add({} as EndedSpan);
  };
  const advance = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await turn();
  };
  return { queue, add, advance, sent, told };
}

test('spans go together after 5 seconds, or at once when they fill a batch', async () => {
  const { add, advance, sent } = open(() => DONE);
  add(3);
  await advance(4999);
  expect(sent).toEqual([]);
  await advance(1);
  expect(sent).toEqual([3]);
  add(300);
  await advance(0);
  expect(sent).toEqual([3, 256]);
  await advance(5000);
  expect(sent).toEqual([3, 256, 44]);
});

test('a full queue drops spans, counts them, and tells it once a minute', async () => {
  const { queue, add, advance, told } = open(() => new Promise(() => undefined), 10);
  add(10);
  await advance(5000);
  add(25);
  expect(queue.dropped).toBe(15);
  const why = 'the queue is full (traces.max_queue)';
  expect(told).toEqual([{ why, dropped: 1 }]);
  await advance(60_000);
  add(2);
  expect(told).toEqual([
    { why, dropped: 1 },
    { why, dropped: 16 },
  ]);
});

test('a batch is sent four times with longer pauses, then dropped; the next one is sent', async () => {
  const { queue, add, advance, sent, told } = open((nth) =>
    nth <= 4 ? { kind: 'retry', why: 'ECONNREFUSED' } : DONE,
  );
  add(2);
  for (const [ms, count] of [
    [5000, 1],
    [999, 1],
    [1, 2],
    [2000, 3],
    [4000, 4],
  ] as const) {
    await advance(ms);
    expect(sent).toHaveLength(count);
  }
  expect([queue.dropped, told.length]).toEqual([2, 1]);
  add(1);
  await advance(5000);
  expect([sent.length, queue.dropped]).toEqual([5, 2]);
});

test('an answer that is final, and spans that the collector rejects, are counted', async () => {
  const { queue, add, advance } = open((nth) =>
    nth === 1
      ? { kind: 'failed', why: 'the collector answered 500' }
      : { kind: 'done', rejected: 1 },
  );
  add(2);
  await advance(5000);
  expect(queue.dropped).toBe(2);
  add(3);
  await advance(5000);
  expect(queue.dropped).toBe(3);
});

test('closing ends a pause, sends what waits within the time of one export, and takes no more', async () => {
  const { queue, add, advance, sent } = open((nth) =>
    nth <= 1 ? { kind: 'retry', why: 'ECONNREFUSED' } : DONE,
  );
  add(1);
  await advance(5000);
  add(400);
  await queue.close();
  expect(sent).toEqual([1, 1, 256, 144]);
  add(1);
  expect(queue.dropped).toBe(1);
});
