import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { isoOf } from '../shared/iso';
import { quoted } from '../shared/quoted';

/** One change or inference, or an attempt at it. It has no fields for bodies, headers or keys. */
export interface AuditEntry {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Name of the caller's key; undefined when none was accepted. */
  readonly caller: string | undefined;
  /** `deploy`, `update`, `scale`, `delete`, `rollback`, `traffic`, `promote`, `abort`; `infer`. */
  readonly action: string;
  readonly model: string | undefined;
  /** The resulting revision. */
  readonly revision?: number | undefined;
  /** The arm that answered an inference. */
  readonly arm?: string | undefined;
  readonly version?: string | undefined;
  /** How long it took, milliseconds. */
  readonly ms?: number | undefined;
  readonly requestId: string;
  /** HTTP status of the answer. */
  readonly status: number;
}

export interface Audit {
  readonly record: (entry: AuditEntry) => void;
  /** For frequent entries: written together with those of the next milliseconds. */
  readonly recordSoon: (entry: AuditEntry) => void;
  /** Resolves when everything recorded so far is handed to the system. */
  readonly flush: () => Promise<void>;
  /** Flushes and closes the file. */
  readonly close: () => Promise<void>;
}

/** Where lines go. The bytes may be used again when `write` has resolved. */
interface Sink {
  readonly write: (bytes: Buffer) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Lines are put together in blocks of this size; a longer line has one of its own. */
const BLOCK_BYTES = 262_144;
/** Some seconds of a busy router; a disk that is this far behind is broken. */
const MAX_WAITING_BYTES = 80 * BLOCK_BYTES;
/** A write costs as much as a request; this many milliseconds of lines share one. */
const SOON_MS = 50;

function field(name: string, value: string | number | undefined): string {
  if (value === undefined) return '';
  return `,"${name}":${typeof value === 'number' ? value : quoted(value)}`;
}

/** Written by hand: with an inference in each line this is a tenth of what a request costs. */
function lineOf(entry: AuditEntry): string {
  const { at, caller, action, model, revision, arm, version, status, ms, requestId } = entry;
  return (
    `{"time":"${isoOf(at)}"${field('caller', caller)}${field('action', action)}` +
    `${field('model', model)}${field('revision', revision)}${field('arm', arm)}` +
    `${field('version', version)}${field('status', status)}${field('ms', ms)}` +
    `${field('request_id', requestId)}}\n`
  );
}

function fileSink(file: string): Sink {
  let handle: Promise<FileHandle> | undefined;
  return {
    write: async (bytes) => {
      // Opened with the first line, and again after a failure; readable by its owner only.
      handle ??= open(file, 'a', 0o600);
      await (await handle.catch((error: unknown) => forget(error))).appendFile(bytes);
    },
    close: async () => {
      if (handle === undefined) return;
      const opened = await handle;
      await opened.sync().catch(() => undefined);
      await opened.close();
    },
  };
  function forget(error: unknown): never {
    handle = undefined;
    throw error;
  }
}

function streamSink(stream: NodeJS.WritableStream): Sink {
  return {
    write: (bytes) =>
      new Promise((resolve, reject) => {
        stream.write(bytes, (error) => (error ? reject(error) : resolve()));
      }),
    close: () => Promise.resolve(),
  };
}

export interface AuditOptions {
  /** A path, `-` for stdout, or undefined for no audit. */
  readonly file: string | undefined;
  /** Called when lines could not be written; once per failure. */
  readonly onError: (message: string) => void;
  readonly stdout?: NodeJS.WritableStream;
}

const NONE: Audit = {
  record: () => undefined,
  recordSoon: () => undefined,
  flush: () => Promise.resolve(),
  close: () => Promise.resolve(),
};

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

/**
 * Lines on their way to a sink, as bytes: as texts they would outlive the garbage of the requests
 * they tell of, and be carried along by the collector.
 */
class Lines {
  private block: Block | undefined;
  /** Full ones. */
  private waiting: Block[] = [];
  /** One that was written, to be used again. */
  private spare: Block | undefined;
  private lost = 0;
  private writing: Promise<void> | undefined;
  private soon: NodeJS.Timeout | undefined;

  constructor(
    private readonly sink: Sink,
    private readonly onError: (message: string) => void,
  ) {}

  add(entry: AuditEntry): void {
    const line = lineOf(entry);
    // A character is three bytes at most.
    const block = this.blockFor(line.length * 3);
    if (block === undefined) {
      this.lost += 1;
      return;
    }
    block.used += block.bytes.write(line, block.used);
    block.lines += 1;
  }

  /** Where so many bytes have room; undefined when the sink is too far behind. */
  private blockFor(bytes: number): Block | undefined {
    const { block } = this;
    if (block !== undefined && block.used + bytes <= block.bytes.length) return block;
    if (this.waiting.length * BLOCK_BYTES >= MAX_WAITING_BYTES) return undefined;
    if (block !== undefined) this.waiting.push(block);
    const next = bytes > BLOCK_BYTES ? newBlock(bytes) : (this.spare ?? newBlock());
    this.spare = undefined;
    this.block = next;
    return next;
  }

  flushSoon(): void {
    this.soon ??= setTimeout(() => void this.flush(), SOON_MS);
  }

  /** Resolves when all that was added before is written. */
  async flush(): Promise<void> {
    clearTimeout(this.soon);
    this.soon = undefined;
    // It began before, so it may be without the last ones.
    if (this.writing !== undefined) await this.writing;
    this.writing ??= this.write().finally(() => {
      this.writing = undefined;
    });
    await this.writing;
  }

  /** No more than what is there now: what comes meanwhile shares the next write. */
  private async write(): Promise<void> {
    if (this.block !== undefined) this.waiting.push(this.block);
    this.block = undefined;
    for (let left = this.waiting.length; left > 0; left -= 1) await this.writeFirst();
    if (this.lost > 0) this.onError(`audit: ${this.lost} lines dropped, the disk is too slow`);
    this.lost = 0;
  }

  private async writeFirst(): Promise<void> {
    const block = this.waiting[0];
    if (block === undefined) return;
    try {
      await this.sink.write(block.bytes.subarray(0, block.used));
    } catch (error) {
      this.onError(`audit: ${block.lines} lines not written: ${(error as Error).message}`);
    }
    this.waiting.shift();
    if (block.bytes.length === BLOCK_BYTES)
      this.spare = Object.assign(block, { used: 0, lines: 0 });
  }
}

/** Appends JSON lines in the order of the calls without blocking them. */
export function createAudit({ file, onError, stdout = process.stdout }: AuditOptions): Audit {
  if (file === undefined) return NONE;
  const sink = file === '-' ? streamSink(stdout) : fileSink(file);
  const lines = new Lines(sink, onError);
  return {
    record: (entry) => {
      lines.add(entry);
      void lines.flush();
    },
    recordSoon: (entry) => {
      lines.add(entry);
      lines.flushSoon();
    },
    flush: () => lines.flush(),
    close: async () => {
      await lines.flush();
      await sink.close().catch((error: unknown) => onError(`audit: ${(error as Error).message}`));
    },
  };
}
