import { COPY_BYTES, joined } from '../../runtime/shared/join-buffers';

test('parts are joined in order, in new memory', async () => {
  const parts = ['a', '', 'bc', 'd'].map((text) => Buffer.from(text));
  const whole = await joined(parts);
  expect(whole.toString()).toBe('abcd');
  expect(whole.buffer.byteLength).toBe(whole.length);
});

test('no slice of a large copy exceeds a mebibyte, whatever its parts', async () => {
  const sizes = [1, 3 * COPY_BYTES, COPY_BYTES - 1, 70_000, 5 * COPY_BYTES + 13];
  const parts = sizes.map((size, at) => Buffer.alloc(size, at + 1));
  let turns = 0;
  const whole = await joined(parts, () => Promise.resolve((turns += 1)));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  expect(turns).toBe(Math.ceil(total / COPY_BYTES) - 1);
  expect(whole.equals(Buffer.concat(parts))).toBe(true);
});

test('the event loop runs between the slices of a large copy', async () => {
  let served = 0;
  let isOver = false;
  const serve = (): void => {
    served += 1;
    if (!isOver) setImmediate(serve);
  };
  setImmediate(serve);
  await joined([Buffer.alloc(8 * COPY_BYTES)]);
  isOver = true;
  expect(served).toBeGreaterThanOrEqual(7);
});
