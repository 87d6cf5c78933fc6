import type { Chain, ChainHead } from './chain';
import { GENESIS, SEAL_BYTES, sealedLine } from './chain';
import { droppedLine } from './entry';
import type { Sink } from './sink';
import { PartialWrite } from './sink';

/** Lines are put together in blocks of this size; a longer line has one of its own. */
const BLOCK_BYTES = 262_144;
/** Some seconds of a busy router; a sink that is this far behind is broken. */
const MAX_WAITING_BLOCKS = 80;
/** Kept for changes, of which an abort is one, when inferences have filled the rest. */
const RESERVED_BLOCKS = 8;
/** A write costs as much as a request; this many milliseconds of lines share one. */
const SOON_MS = 50;
/** Until the next attempt after one that failed, milliseconds. */
const RETRY_MS = 1000;
/** A write that takes longer is a sink that stands still, milliseconds. */
const BLOCKED_MS = 5000;
/** At the end of the service, milliseconds. */
const CLOSE_MS = 3000;
const LINE_FEED = 0x0a;

/** Timers of a writer. */
export interface AuditClock {
  readonly now: () => number;
  /** Returns its cancellation. */
  readonly setTimeout: (work: () => void, ms: number) => () => void;
}

/** Why nothing can be written, and since when; milliseconds since the epoch. */
export interface SinkFault {
  readonly since: number;
  readonly message: string;
}

export interface WriterOptions {
  readonly sink: Sink;
  readonly chain: Chain | undefined;
  readonly clock: AuditClock;
  /** Called when the sink fails, and with undefined when it is back. */
  readonly onFault: (fault: SinkFault | undefined) => void;
  readonly warn: (message: string) => void;
}

/** Lines written at once. */
interface Block {
  readonly bytes: Buffer;
  used: number;
  lines: number;
}

const newBlock = (size = BLOCK_BYTES): Block => ({
  bytes: Buffer.allocUnsafeSlow(size),
  used: 0,
  lines: 0,
});

/** @returns where the `count`th line ends */
function endOfLines(bytes: Buffer, count: number): number {
  let end = 0;
  for (let left = count; left > 0; left -= 1) end = bytes.indexOf(LINE_FEED, end) + 1;
  return end;
}

function countLines(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(LINE_FEED); at >= 0; at = bytes.indexOf(LINE_FEED, at + 1))
    count += 1;
  return count;
}

/** The lines that were written to their end. */
const wholeLines = (bytes: Buffer, written: number): Buffer =>
  bytes.subarray(0, bytes.subarray(0, written).lastIndexOf(LINE_FEED) + 1);

/** What the last of sealed lines leaves a chain at. */
function headOf(lines: Buffer): ChainHead | undefined {
  const from = lines.subarray(0, -1).lastIndexOf(LINE_FEED) + 1;
  return sealedLine(lines.toString('utf8', from, lines.length - 1));
}

/** Why lines could not be written, and how many of them were. */
class PartialLines extends Error {
  constructor(
    readonly lines: number,
    cause: unknown,
  ) {
    super((cause as Error).message, { cause });
  }
}

/**
 * Lines on their way to a sink, as bytes: as texts they would outlive the garbage of the requests
 * they tell of, and be carried along by the collector. What a sink does not take is kept, within
 * bounds, and written first when it is back.
 */
export class AuditWriter {
  private block: Block | undefined;
  /** Full ones. */
  private waiting: Block[] = [];
  /** One that was written, to be used again. */
  private spare: Block | undefined;
  /** Dropped since the last line that was written. */
  private lost = 0;
  private writing: Promise<void> | undefined;
  /** The write after it. */
  private following: Promise<void> | undefined;
  private cancelSoon: (() => void) | undefined;
  private cancelRetry: (() => void) | undefined;
  private current: SinkFault | undefined;
  private isOver = false;
  /** Since the start. */
  dropped = 0;

  constructor(private readonly options: WriterOptions) {}

  /** @param isChange it may use the room that inferences leave */
  add(line: string, isChange: boolean): void {
    // A character is three bytes at most.
    const block = this.blockFor(line.length * 3, isChange);
    if (block === undefined) {
      this.lost += 1;
      this.dropped += 1;
      return;
    }
    block.used += block.bytes.write(line, block.used);
    block.lines += 1;
  }

  get fault(): SinkFault | undefined {
    return this.current;
  }

  get waitingLines(): number {
    const all = this.block === undefined ? this.waiting : [...this.waiting, this.block];
    return all.reduce((sum, { lines }) => sum + lines, 0);
  }

  /** Where so many bytes have room; undefined when the sink is too far behind. */
  private blockFor(bytes: number, isChange: boolean): Block | undefined {
    const { block } = this;
    const most = isChange ? MAX_WAITING_BLOCKS : MAX_WAITING_BLOCKS - RESERVED_BLOCKS;
    if (this.waiting.length >= most) return undefined;
    if (block !== undefined && block.used + bytes <= block.bytes.length) return block;
    if (block !== undefined) this.waiting.push(block);
    const next = bytes > BLOCK_BYTES ? newBlock(bytes) : (this.spare ?? newBlock());
    this.spare = undefined;
    this.block = next;
    return next;
  }

  flushSoon(): void {
    this.cancelSoon ??= this.options.clock.setTimeout(() => void this.flush(), SOON_MS);
  }

  /** Resolves when all that was added before is written, or cannot be. */
  flush(): Promise<void> {
    this.cancelSoon?.();
    this.cancelSoon = undefined;
    if (this.writing === undefined) return this.begin();
    // It began before, so it may be without the last lines. One more has all of them.
    this.following ??= this.writing.then(() => {
      this.following = undefined;
      return this.begin();
    });
    return this.following;
  }

  /** After a failure the time of the next attempt is set. */
  private begin(): Promise<void> {
    if (this.cancelRetry !== undefined) return Promise.resolve();
    this.writing ??= this.write().finally(() => {
      this.writing = undefined;
    });
    return this.writing;
  }

  /** What is left is written, if the sink takes it. @returns lines that are not */
  async close(): Promise<number> {
    this.isOver = true;
    this.stopRetry();
    const late = new Promise<void>((resolve) => this.options.clock.setTimeout(resolve, CLOSE_MS));
    await Promise.race([this.flush(), late]);
    return this.waitingLines;
  }

  private stopRetry(): void {
    this.cancelRetry?.();
    this.cancelRetry = undefined;
  }

  private async write(): Promise<void> {
    const { clock } = this.options;
    const since = clock.now();
    const late = (): void => this.setFault({ since, message: 'a write does not end' });
    const cancel = clock.setTimeout(late, BLOCKED_MS);
    try {
      await this.writeWaiting();
      this.setFault(undefined);
    } catch (error) {
      this.setFault({ since, message: (error as Error).message });
      if (!this.isOver) this.cancelRetry = clock.setTimeout(() => this.retry(), RETRY_MS);
    } finally {
      cancel();
    }
  }

  private retry(): void {
    this.stopRetry();
    void this.flush();
  }

  private setFault(fault: SinkFault | undefined): void {
    const before = this.current;
    if (before === undefined && fault === undefined) return;
    this.current = fault && { ...fault, since: before?.since ?? fault.since };
    if (before?.message !== fault?.message) this.options.onFault(this.current);
  }

  /** No more than what is there now: what comes meanwhile shares the next write. */
  private async writeWaiting(): Promise<void> {
    await this.open(0);
    const newest = this.block;
    for (let left = this.waiting.length; left > 0; left -= 1) await this.writeFirst();
    if (newest !== undefined) {
      // Full by now, it stands among those that wait.
      if (this.block === newest) this.waiting.push(newest);
      if (this.block === newest) this.block = undefined;
      await this.writeFirst();
    }
    await this.tellLost();
  }

  private async writeFirst(): Promise<void> {
    const block = this.waiting[0];
    if (block === undefined) return;
    const seals = this.options.chain === undefined ? 0 : block.lines * SEAL_BYTES;
    await this.open(block.used + seals);
    await this.writeBlock(block);
    this.waiting.shift();
    if (block.bytes.length === BLOCK_BYTES)
      this.spare = Object.assign(block, { used: 0, lines: 0 });
  }

  /** The record itself says how many lines are not in it. */
  private async tellLost(): Promise<void> {
    const { lost } = this;
    if (lost === 0) return;
    await this.appendLines(Buffer.from(droppedLine(this.options.clock.now(), lost)), 1);
    this.lost -= lost;
    this.options.warn(`audit: ${lost} lines were dropped, the sink was too slow or failed`);
  }

  private async writeBlock(block: Block): Promise<void> {
    try {
      await this.appendLines(block.bytes.subarray(0, block.used), block.lines);
    } catch (error) {
      const done = error instanceof PartialLines ? error.lines : 0;
      const from = endOfLines(block.bytes, done);
      block.bytes.copyWithin(0, from, block.used);
      block.used -= from;
      block.lines -= done;
      throw error;
    }
  }

  /** Appends lines, sealed where there is a chain; it ends with the last line that is written. */
  private async appendLines(lines: Buffer, count: number): Promise<void> {
    const { sink, chain } = this.options;
    const before = chain?.head ?? GENESIS;
    const bytes = chain?.seal(lines, count) ?? lines;
    try {
      await sink.append(bytes);
    } catch (error) {
      const whole = wholeLines(bytes, error instanceof PartialWrite ? error.written : 0);
      if (chain !== undefined) chain.head = headOf(whole) ?? before;
      throw new PartialLines(countLines(whole), error);
    }
  }

  /** Opens the place, if it is not open, and the chain in it. */
  private async open(bytes: number): Promise<void> {
    const { sink, chain, warn } = this.options;
    const opened = await sink.open(bytes);
    if (opened === undefined || chain === undefined) return;
    const { lastLines } = opened;
    const last = sealedLine(lastLines.at(-1) ?? '');
    if (last !== undefined && last.mac === chain.head.mac) return;
    if (lastLines.length > 0 && !chain.fits(lastLines)) {
      warn('audit: the last lines of the file do not fit the chain key; another file is begun');
      // The chain goes on where it can: lines cut off the file that is put away are missed then.
      if (chain.head === GENESIS) chain.head = (await chain.lastThatFits(sink.lines())) ?? GENESIS;
      await sink.setAside();
      return this.open(bytes);
    }
    if (chain.head === GENESIS && last !== undefined) chain.head = last;
    await this.openChain(chain);
  }

  private async openChain(chain: Chain): Promise<void> {
    await this.appendLines(chain.openingLine(this.options.clock.now()), 1);
  }
}
