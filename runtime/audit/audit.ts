import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';

/** One change or one inference, or an attempt at it. There is no place for bodies, headers or keys. */
export interface AuditEntry {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Name of the caller's key; undefined when none was accepted. */
  readonly caller: string | undefined;
  /** `deploy`, `update`, `scale`, `delete`, `rollback`, `traffic`, `promote`, `abort`; `infer`. */
  readonly action: string;
  readonly model: string | undefined;
  /** The revision that came of it. */
  readonly revision?: number | undefined;
  /** Who answered an inference. */
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
  /** The same for what comes by the thousand: written together with what follows shortly. */
  readonly recordSoon: (entry: AuditEntry) => void;
  /** Resolves when everything recorded so far is handed to the system. */
  readonly flush: () => Promise<void>;
  /** Flushes and closes the file. */
  readonly close: () => Promise<void>;
}

/** Where lines go. */
interface Sink {
  readonly write: (text: string) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Some seconds of a busy router, 20 MB; a disk that is this far behind is broken. */
const MAX_WAITING_LINES = 100_000;
/** A write costs as much as a request; this many milliseconds of lines share one. */
const SOON_MS = 50;

let isoAt = NaN;
let isoText = '';
function isoOf(at: number): string {
  if (at === isoAt) return isoText;
  isoAt = at;
  isoText = new Date(at).toISOString();
  return isoText;
}

/** What JSON writes as it is; most names and ids are such. */
const PLAIN = /^[\w .:/+=@-]*$/;

function field(name: string, value: string | number | undefined): string {
  if (value === undefined) return '';
  if (typeof value === 'number') return `,"${name}":${value}`;
  return PLAIN.test(value) ? `,"${name}":"${value}"` : `,"${name}":${JSON.stringify(value)}`;
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
    write: async (text) => {
      // Opened with the first line, and again after a failure; readable by its owner only.
      handle ??= open(file, 'a', 0o600);
      await (await handle.catch((error: unknown) => forget(error))).appendFile(text);
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
    write: (text) =>
      new Promise((resolve, reject) => {
        stream.write(text, (error) => (error ? reject(error) : resolve()));
      }),
    close: () => Promise.resolve(),
  };
}

export interface AuditOptions {
  /** A path, `-` for stdout, or undefined for no audit. */
  readonly file: string | undefined;
  /** Told when lines could not be written; once per failure. */
  readonly onError: (message: string) => void;
  readonly stdout?: NodeJS.WritableStream;
}

const NONE: Audit = {
  record: () => undefined,
  recordSoon: () => undefined,
  flush: () => Promise.resolve(),
  close: () => Promise.resolve(),
};

/** Lines on their way to a sink. */
class Lines {
  private waiting: string[] = [];
  private lost = 0;
  private writing: Promise<void> | undefined;
  private soon: NodeJS.Timeout | undefined;

  constructor(
    private readonly sink: Sink,
    private readonly onError: (message: string) => void,
  ) {}

  add(entry: AuditEntry): void {
    if (this.waiting.length >= MAX_WAITING_LINES) this.lost += 1;
    else this.waiting.push(lineOf(entry));
  }

  flushSoon(): void {
    this.soon ??= setTimeout(() => void this.flush(), SOON_MS);
  }

  async flush(): Promise<void> {
    clearTimeout(this.soon);
    this.soon = undefined;
    // What is added while the last write ends is written, too.
    while (this.writing !== undefined || this.waiting.length > 0) {
      this.writing ??= this.writeAll().finally(() => {
        this.writing = undefined;
      });
      await this.writing;
    }
    if (this.lost > 0) this.onError(`audit: ${this.lost} lines dropped, the disk is too slow`);
    this.lost = 0;
  }

  private async writeAll(): Promise<void> {
    while (this.waiting.length > 0) {
      const lines = this.waiting;
      this.waiting = [];
      try {
        await this.sink.write(lines.join(''));
      } catch (error) {
        this.onError(`audit: ${lines.length} lines not written: ${(error as Error).message}`);
      }
    }
  }
}

/** JSON lines, appended in the order of the calls, never in their way. */
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
