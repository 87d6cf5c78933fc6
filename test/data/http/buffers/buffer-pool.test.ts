import { Writable } from 'node:stream';
import type { Socket } from 'node:net';
import type { BodySource } from '../../../../runtime/data/http/exchange';
import { copyToPool, POOL_BUFFER_BYTES } from '../../../../runtime/data/http/buffers/buffer-pool';
import { ResponseWriter } from '../../../../runtime/data/http/server/response-writer';

/** A caller that takes nothing before it is told to; what it was given is looked at only then. */
class SlowCaller extends Writable {
  private readonly given: { readonly bytes: Buffer; readonly done: () => void }[] = [];
  private taken = Buffer.alloc(0);

  override _write(bytes: Buffer, _: string, done: () => void): void {
    this.given.push({ bytes, done });
  }

  /** All of it; a write that is done makes the next. */
  async take(): Promise<Buffer> {
    for (let next = this.given.shift(); next !== undefined; next = this.given.shift()) {
      this.taken = Buffer.concat([this.taken, next.bytes]);
      next.done();
      await new Promise((resolve) => setImmediate(resolve));
    }
    return this.taken;
  }
}

const source: BodySource = {
  flow: () => undefined,
  resume: () => undefined,
  destroy: () => undefined,
};

function answer(socket: SlowCaller): ResponseWriter {
  const out = { head: '', isBodiless: false, isChunked: false, stallMs: 60_000 };
  const exchange = {
    begin: () => ({ ...out, socket: socket as unknown as Socket }),
    watch: () => undefined,
    finish: () => undefined,
    cut: () => undefined,
    withdraw: () => undefined,
  };
  return new ResponseWriter(exchange, 200, '', source);
}

test('responses for slow callers keep their bytes, whatever other requests do', async () => {
  const read = Buffer.alloc(POOL_BUFFER_BYTES);
  const callers = Array.from({ length: 100 }, () => new SlowCaller());
  for (let round = 0; round < 2; round += 1) {
    for (const [index, socket] of callers.entries()) {
      // One buffer for all reads, as the client has it.
      read.fill(index);
      answer(socket).data(read);
    }
    const taken = await Promise.all(callers.map((socket) => socket.take()));
    for (const [index, bytes] of taken.entries()) {
      expect(bytes.equals(Buffer.alloc(POOL_BUFFER_BYTES * (round + 1), index))).toBe(true);
    }
  }
});

test('memory is reused only after it is returned', () => {
  const [first, second] = [copyToPool(Buffer.from('a')), copyToPool(Buffer.from('b'))];
  expect(second.bytes.buffer).not.toBe(first.bytes.buffer);
  first.done?.();
  expect(copyToPool(Buffer.from('c')).bytes.buffer).toBe(first.bytes.buffer);
  expect(second.bytes.toString()).toBe('b');
});

test('data larger than a read has memory of its own', () => {
  const large = Buffer.alloc(POOL_BUFFER_BYTES + 1, 'x');
  const { bytes, done } = copyToPool(large);
  expect(bytes.equals(large)).toBe(true);
  expect(bytes.buffer).not.toBe(large.buffer);
  expect(done).toBeUndefined();
});
