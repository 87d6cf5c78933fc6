import { setImmediate as turn } from 'node:timers/promises';

/** Bytes per slice: touching new memory of this size takes a millisecond. */
export const COPY_BYTES = 1024 * 1024;

/**
 * Concatenates bytes. Large ones are copied in slices, between which the event loop runs.
 * @param between called after each slice but the last
 */
export async function joined(
  parts: readonly Uint8Array[],
  between: () => Promise<unknown> = turn,
): Promise<Buffer> {
  const size = parts.reduce((sum, { length }) => sum + length, 0);
  const whole = Buffer.allocUnsafeSlow(size);
  let at = 0;
  let slice = 0;
  for (const part of parts) {
    for (let from = 0; from < part.length;) {
      const bytes = Math.min(part.length - from, COPY_BYTES - slice);
      whole.set(part.subarray(from, from + bytes), at);
      from += bytes;
      at += bytes;
      slice += bytes;
      if (slice < COPY_BYTES || at === size) continue;
      slice = 0;
      await between();
    }
  }
  return whole;
}
