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
  private whole: Buffer[] = [];
  private block: Buffer | undefined;
  private used = 0;

  add(piece: Buffer): void {
    const isFirst = this.size === 0;
    this.size += piece.length;
    // Most bodies come in one piece, which is given out as it is.
    if (isFirst || piece.length >= SMALL_BYTES) {
      this.close();
      this.whole.push(piece);
      return;
    }
    if (this.used + piece.length > BLOCK_BYTES) this.close();
    this.block ??= Buffer.allocUnsafeSlow(BLOCK_BYTES);
    this.used += piece.copy(this.block, this.used);
  }

  private close(): void {
    if (this.used === 0 || this.block === undefined) return;
    this.whole.push(Buffer.from(this.block.subarray(0, this.used)));
    this.used = 0;
  }

  /** All of it; nothing is left. */
  take(): Buffer {
    this.close();
    const { whole } = this;
    this.clear();
    const [only = NOTHING] = whole;
    return whole.length <= 1 ? only : Buffer.concat(whole);
  }

  clear(): void {
    this.whole = [];
    this.block = undefined;
    this.used = 0;
  }
}
