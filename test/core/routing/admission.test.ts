import * as fc from 'fast-check';
import type { QueueEntry } from '../../../runtime/core/routing/admission';
import {
  countAhead,
  canMeet,
  createQueue,
  expectedWaitMs,
  offer,
  offerAgain,
  retryAfterSeconds,
  take,
  queuedEntries,
  withdraw,
} from '../../../runtime/core/routing/admission';
import type { Priority } from '../../../runtime/core/routing/outcome';
import { PRIORITIES } from '../../../runtime/core/routing/outcome';

const entry = (value: string, priority: Priority, since = 0): QueueEntry<string> => ({
  value,
  priority,
  since,
});
const anyone = (): boolean => true;

function queueOf(...entries: readonly QueueEntry<string>[]) {
  const queue = createQueue<string>();
  for (const one of entries) offer(queue, one, 1_000);
  return queue;
}

function order(queue: ReturnType<typeof queueOf>): readonly string[] {
  const taken: string[] = [];
  for (let next = take(queue, anyone); next !== undefined; next = take(queue, anyone)) {
    taken.push(next.value);
  }
  return taken;
}

test('serves by priority, then in order of arrival', () => {
  const queue = queueOf(
    entry('l', 'low'),
    entry('n1', 'normal', 1),
    entry('n2', 'normal', 2),
    entry('c', 'critical', 3),
    entry('h', 'high', 4),
  );
  expect(order(queue)).toEqual(['c', 'h', 'n1', 'n2', 'l']);
});

test('counts a second of waiting as one priority', () => {
  expect(order(queueOf(entry('old', 'low', 0), entry('new', 'critical', 3_001)))[0]).toBe('old');
  expect(order(queueOf(entry('old', 'low', 0), entry('new', 'critical', 2_999)))[0]).toBe('new');
});

test('gives every tenth slot to the oldest request', () => {
  const queue = queueOf(entry('low', 'low', 0));
  for (let index = 0; index < 30; index += 1) {
    offer(queue, entry(`c${index}`, 'critical', 1 + index), 1_000);
  }
  expect(order(queue).indexOf('low')).toBe(9);
});

test('rejects at a full queue, unless a lower priority holds more than its part', () => {
  const queue = createQueue<string>();
  for (let index = 0; index < 16; index += 1) offer(queue, entry(`l${index}`, 'low'), 16);
  expect(offer(queue, entry('l', 'low'), 16)).toEqual({ kind: 'full' });
  // The newest of the least urgent gives way.
  expect(offer(queue, entry('c', 'critical'), 16)).toMatchObject({ entry: { value: 'l15' } });
  for (let index = 0; index < 30; index += 1) offer(queue, entry('c', 'critical'), 16);
  // Two of sixteen stay low's.
  expect(queue.lines.low.map(({ value }) => value)).toEqual(['l0', 'l1']);
  expect(queue.lines.critical).toHaveLength(14);
  expect(queue.size).toBe(16);
});

test('reserves an eighth of a full queue for each priority', () => {
  const queue = createQueue<string>();
  for (let index = 0; index < 16; index += 1) offer(queue, entry(`c${index}`, 'critical'), 16);
  expect(offer(queue, entry('l0', 'low'), 16)).toMatchObject({ entry: { value: 'c15' } });
  expect(offer(queue, entry('l1', 'low'), 16).kind).toBe('displaced');
  expect(offer(queue, entry('l2', 'low'), 16).kind).toBe('full');
});

test('queues nothing at depth 0', () => {
  expect(offer(createQueue<string>(), entry('c', 'critical'), 0)).toEqual({ kind: 'full' });
});

test('puts a retry first in its line', () => {
  const queue = queueOf(entry('n1', 'normal'), entry('n2', 'normal'));
  offerAgain(queue, entry('again', 'normal'));
  expect(order(queue)).toEqual(['again', 'n1', 'n2']);
});

test('skips an entry that fits no free slot, and keeps it', () => {
  const queue = queueOf(entry('a', 'normal'), entry('b', 'normal'));
  expect(take(queue, (value) => value === 'b')?.value).toBe('b');
  expect(take(queue, (value) => value === 'b')).toBeUndefined();
  expect(queuedEntries(queue).map(({ value }) => value)).toEqual(['a']);
});

test('counts each entry once and keeps the depth under random operations', () => {
  const step = fc.record({
    kind: fc.constantFrom('offer', 'offer', 'take', 'withdraw'),
    priority: fc.constantFrom(...PRIORITIES),
  });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 20 }), fc.array(step), (depth, steps) => {
      const queue = createQueue<string>();
      let inside = 0;
      steps.forEach(({ kind, priority }, index) => {
        if (kind === 'offer') {
          const offered = offer(queue, entry(String(index), priority, index), depth);
          inside += offered.kind === 'queued' ? 1 : 0;
        } else {
          const [first] = queue.lines[priority];
          const gone =
            kind === 'take'
              ? take(queue, anyone) !== undefined
              : first !== undefined && withdraw(queue, first);
          inside -= gone ? 1 : 0;
        }
        expect(queue.size).toBe(inside);
        expect(queuedEntries(queue)).toHaveLength(inside);
        expect(inside).toBeLessThanOrEqual(depth);
      });
    }),
  );
});

describe('the estimated wait', () => {
  const service = { mean: 40, deviation: 5 };

  test('is the work ahead over the slots', () => {
    expect(expectedWaitMs({ ahead: 15, capacity: 8, service })).toBe(80);
    expect(expectedWaitMs({ ahead: 15, capacity: 0, service })).toBe(0);
    expect(expectedWaitMs({ ahead: 15, capacity: 8, service: undefined })).toBe(0);
  });

  test('refuses late requests: 80 ms of waiting and 50 ms of typical latency', () => {
    expect(canMeet({ ahead: 15, capacity: 8, service }, 130)).toBe(true);
    expect(canMeet({ ahead: 15, capacity: 8, service }, 129)).toBe(false);
    expect(canMeet({ ahead: 15, capacity: 8, service: undefined }, 1)).toBe(true);
  });

  test('counts requests that are served before a newcomer of its priority', () => {
    const queue = queueOf(entry('c', 'critical'), entry('n', 'normal'), entry('l', 'low'));
    expect(PRIORITIES.map((priority) => countAhead(queue, priority))).toEqual([1, 1, 2, 3]);
  });

  test('gives Retry-After in whole seconds', () => {
    expect(retryAfterSeconds('queue_full', 20)).toBe(1);
    expect(retryAfterSeconds('queue_full', 2_500)).toBe(3);
    expect(retryAfterSeconds('deadline', 900_000)).toBe(30);
    expect(retryAfterSeconds('no_replica', 0)).toBe(5);
    expect(retryAfterSeconds('stopped', 0)).toBe(30);
  });
});
