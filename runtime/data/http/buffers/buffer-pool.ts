/** As much as one read of a server's answer brings; bytes. */
export const POOL_BUFFER_BYTES = 65_536;
/** Buffers kept for reuse: 4 MiB in all. */
const MAX_FREE = 64;

const free: Buffer[] = [];

/** A copy; `done` returns its buffer to the pool. */
export interface PooledCopy {
  readonly bytes: Buffer;
  readonly done: (() => void) | undefined;
}

/**
 * A copy in memory that is used again. Memory of its own for each read of a large answer is
 * gigabytes a second, for which V8 collects all of its garbage thirty times a second.
 */
export function copyToPool(bytes: Buffer): PooledCopy {
  if (bytes.length > POOL_BUFFER_BYTES) return { bytes: Buffer.from(bytes), done: undefined };
  const slab = free.pop() ?? Buffer.allocUnsafeSlow(POOL_BUFFER_BYTES);
  bytes.copy(slab);
  return {
    bytes: slab.subarray(0, bytes.length),
    done: () => {
      if (free.length < MAX_FREE) free.push(slab);
    },
  };
}
