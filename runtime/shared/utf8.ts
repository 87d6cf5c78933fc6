import { isUtf8 } from 'node:buffer';

// JSON is UTF-8 (RFC 8259, 8.1). An unchecked decoder turns other bytes into U+FFFD.

/** Bytes that are not UTF-8. */
export class NotUtf8 extends Error {
  override readonly name = 'NotUtf8';
  /** @param offset of the first byte that is not part of a character, from 0 */
  constructor(readonly offset: number) {
    super(`not UTF-8, as JSON must be: byte ${offset} (from 0) is not part of a character`);
  }
}

const BLOCK_BYTES = 64 * 1024;
const MAX_CHARACTER_BYTES = 4;

const continues = (byte: number | undefined): boolean => ((byte ?? 0) & 0xc0) === 0x80;

/** A position at which a block may end without cutting a character. */
function blockEnd(bytes: Buffer, from: number): number {
  let to = Math.min(from + BLOCK_BYTES, bytes.length);
  const least = to - MAX_CHARACTER_BYTES;
  while (to < bytes.length && to > least && continues(bytes[to])) to -= 1;
  return to;
}

/** Length of the character that begins here; 0 when none does. */
function characterBytes(bytes: Buffer, from: number): number {
  for (let size = 1; size <= MAX_CHARACTER_BYTES && from + size <= bytes.length; size += 1) {
    if (isUtf8(bytes.subarray(from, from + size))) return size;
  }
  return 0;
}

/** The first byte that is not part of a character; undefined for valid UTF-8. */
export function firstNotUtf8(bytes: Buffer): number | undefined {
  if (isUtf8(bytes)) return undefined;
  let at = 0;
  for (let to = blockEnd(bytes, at); isUtf8(bytes.subarray(at, to)); to = blockEnd(bytes, at))
    at = to;
  for (let size = characterBytes(bytes, at); size > 0; size = characterBytes(bytes, at)) at += size;
  return at;
}

/** @throws NotUtf8 */
export function textOf(bytes: Buffer): string {
  const offset = firstNotUtf8(bytes);
  if (offset !== undefined) throw new NotUtf8(offset);
  return bytes.toString('utf8');
}
