/** Below this a piece is copied; bytes. */
const SMALL_BYTES = 1024;
/** What small pieces are copied into; bytes. */
const BLOCK_BYTES = 16_384;

const NOTHING = Buffer.alloc(0);

/**
 * A body as it comes. Small pieces are copied together: each would be an object of a hundred bytes,
 * and a body may come in chunks of one byte.
 */
export class Pieces {
  /** Bytes that have come, taken or not. */
  size = 0;
  /** Most bodies come in one piece, which is given out as it is. */
  private first: Buffer | undefined;
  private whole: Buffer[] | undefined;
  private block: Buffer | undefined;
  private used = 0;

  add(piece: Buffer): void {
    const isFirst = this.size === 0;
    this.size += piece.length;
    if (isFirst || piece.length >= SMALL_BYTES) {
      this.close();
      this.put(piece);
      return;
    }
    if (this.used + piece.length > BLOCK_BYTES) this.close();
    this.block ??= Buffer.allocUnsafeSlow(BLOCK_BYTES);
    this.used += piece.copy(this.block, this.used);
  }

  private close(): void {
    if (this.used === 0 || this.block === undefined) return;
    this.put(Buffer.from(this.block.subarray(0, this.used)));
    this.used = 0;
  }

  private put(piece: Buffer): void {
    if (this.whole !== undefined) this.whole.push(piece);
    else if (this.first === undefined) this.first = piece;
    else this.whole = [this.first, piece];
  }

  /** All of it; nothing is left. */
  take(): Buffer {
    this.close();
    const { first = NOTHING, whole } = this;
    this.clear();
    return whole === undefined ? first : Buffer.concat(whole);
  }

  clear(): void {
    this.first = undefined;
    this.whole = undefined;
    this.block = undefined;
    this.used = 0;
  }
}
