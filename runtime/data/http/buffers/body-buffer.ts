import { COPY_BYTES, joined } from '../../../shared/join-buffers';

/** Below this a piece is copied; bytes. */
const SMALL_BYTES = 1024;
/** Size of the blocks that small pieces are copied into; bytes. */
const BLOCK_BYTES = 16_384;

/** A body of a known length that is larger is copied into one buffer as it comes. */
const MAX_PIECES_BYTES = 65_536;

const NOTHING = Buffer.alloc(0);

/** More pieces than this of one read are given as one: each costs more than its copy. */
const MAX_GIVEN_PIECES = 16;

export const coalesced = (pieces: readonly Buffer[]): readonly Buffer[] =>
  pieces.length > MAX_GIVEN_PIECES ? [Buffer.concat(pieces)] : pieces;

/**
 * A body while it arrives. Small pieces are copied together: each would be an object of a hundred
 * bytes, and a body may arrive in chunks of one byte. A large body of known length is held once,
 * not twice.
 */
export class BodyBuffer {
  /** Bytes that have come, taken or not. */
  size = 0;
  /** Most bodies come in one piece, which is given out as it is. */
  private first: Buffer | undefined;
  private whole: Buffer[] | undefined;
  private block: Buffer | undefined;
  private used = 0;
  private target: Buffer | undefined;

  /** The total size, bytes already received included. */
  expect(bytes: number): void {
    if (bytes <= MAX_PIECES_BYTES) return;
    const before = this.take();
    // Memory that nothing was written to yet is not used yet.
    this.target = Buffer.allocUnsafeSlow(bytes);
    before.copy(this.target);
  }

  /** As `add`, of bytes that the giver uses again. */
  copy(piece: Buffer): void {
    const isKept = this.target === undefined && (this.size === 0 || piece.length >= SMALL_BYTES);
    this.add(isKept ? Buffer.from(piece) : piece);
  }

  add(piece: Buffer): void {
    const isFirst = this.size === 0;
    if (this.target !== undefined) {
      piece.copy(this.target, this.size);
      this.size += piece.length;
      return;
    }
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
    const { first = NOTHING, whole, target, size } = this;
    this.clear();
    if (target !== undefined) return target.subarray(0, size);
    return whole === undefined ? first : Buffer.concat(whole);
  }

  /** As `take`; large bodies are joined in slices of the event loop. */
  takeLarge(): Buffer | Promise<Buffer> {
    if (this.target !== undefined || this.size <= COPY_BYTES) return this.take();
    this.close();
    const { first = NOTHING, whole } = this;
    this.clear();
    return whole === undefined ? first : joined(whole);
  }

  clear(): void {
    this.first = undefined;
    this.whole = undefined;
    this.block = undefined;
    this.used = 0;
    this.target = undefined;
  }
}
