import type { KeyObject } from 'node:crypto';
import type { AuditClock, SinkFault } from './audit-writer';
import { AuditWriter } from './audit-writer';
import type { ChainHead } from './chain';
import { Chain } from './chain';
import type { AuditEntry } from './entry';
import { lineOf, refusedLine } from './entry';
import type { Rotation } from './file-sink';
import { fileSink } from './file-sink';
import type { Sink } from './sink';
import { streamSink } from './sink';
import { UnrecognizedCallers } from './unrecognized';

/** How the record is; shown by health and metrics. */
export interface AuditStatus {
  readonly isOn: boolean;
  readonly fault: SinkFault | undefined;
  /** In memory, to be written. */
  readonly waitingLines: number;
  /** Since the start of the service. */
  readonly droppedLines: number;
  /** Undefined: there is no chain. */
  readonly head: ChainHead | undefined;
}

export interface Audit {
  /** A change, or an attempt at one. Lines without a caller are limited, here and below. */
  readonly record: (entry: AuditEntry) => void;
  /** For frequent entries: written together with those of the next milliseconds. */
  readonly recordSoon: (entry: AuditEntry) => void;
  /** Why no change may be made now; undefined: it may. */
  readonly refusal: () => string | undefined;
  readonly status: () => AuditStatus;
  /** Resolves when everything recorded so far is handed to the system, or cannot be. */
  readonly flush: () => Promise<void>;
  /** Flushes and closes the file. */
  readonly close: () => Promise<void>;
}

/** What a service does while its record cannot be written. */
export type OnAuditFailure = 'refuse' | 'drop';

type Tell = (message: string, fields?: Readonly<Record<string, unknown>>) => void;

export interface AuditOptions {
  /** A path, `-` for stdout, or undefined for no audit. */
  readonly file: string | undefined;
  readonly chainKey?: KeyObject | undefined;
  /** Name of this instance in the opening line of its chain. */
  readonly instance?: string;
  readonly rotation?: Rotation;
  readonly onFailure?: OnAuditFailure;
  readonly clock: AuditClock;
  readonly log: { readonly info: Tell; readonly warn: Tell; readonly error: Tell };
  readonly stdout?: NodeJS.WritableStream;
  /** Instead of file and stdout; for tests. */
  readonly sink?: Sink;
}

const OFF: AuditStatus = {
  isOn: false,
  fault: undefined,
  waitingLines: 0,
  droppedLines: 0,
  head: undefined,
};

/** No record at all. */
export const NO_AUDIT: Audit = {
  record: () => undefined,
  recordSoon: () => undefined,
  refusal: () => undefined,
  status: () => OFF,
  flush: () => Promise.resolve(),
  close: () => Promise.resolve(),
};

/** How often the log tells where the chain is, if it has moved; milliseconds. */
const HEAD_MS = 300_000;

/** The log gets the head of the chain, so that lines cut off at its end are missed. */
function tellHeads({ clock, log }: AuditOptions, chain: Chain): () => void {
  let told = chain.head;
  let cancel = (): void => undefined;
  const tell = (): void => {
    if (told !== chain.head) log.info('audit: the chain is at', { ...chain.head });
    told = chain.head;
  };
  const again = (): void => {
    cancel = clock.setTimeout(() => {
      tell();
      again();
    }, HEAD_MS);
  };
  again();
  return () => {
    cancel();
    tell();
  };
}

function sinkOf(file: string, options: AuditOptions): Sink {
  const { stdout = process.stdout, rotation = {}, clock, log } = options;
  if (options.sink !== undefined) return options.sink;
  if (file === '-') return streamSink(stdout);
  return fileSink({ file, rotation, now: clock.now, warn: (message) => log.warn(message) });
}

function tellFault({ log, onFailure }: AuditOptions, fault: SinkFault | undefined): void {
  if (fault === undefined) return log.warn('audit: lines are written again');
  const meanwhile = onFailure === 'refuse' ? 'changes are refused' : 'lines are kept, then dropped';
  log.error(`audit: no line can be written (${meanwhile}): ${fault.message}`);
}

/** Entries become lines here; those without a caller are limited. */
function recorder(writer: AuditWriter, clock: AuditClock) {
  const addSoon = (line: string): void => {
    writer.add(line, false);
    writer.flushSoon();
  };
  const unrecognized = new UnrecognizedCallers(clock, (lines) =>
    addSoon(refusedLine(clock.now(), lines)),
  );
  const recordSoon = (entry: AuditEntry): void => {
    if (entry.caller !== undefined || unrecognized.mayRecord(entry.address)) addSoon(lineOf(entry));
  };
  const record = (entry: AuditEntry): void => {
    // Without a caller nothing was changed: it has no claim to the room kept for changes.
    if (entry.caller === undefined) return recordSoon(entry);
    writer.add(lineOf(entry), true);
    void writer.flush();
  };
  return { record, recordSoon, end: () => unrecognized.end() };
}

/** Appends JSON lines in the order of the calls without blocking them. */
export function createAudit(options: AuditOptions): Audit {
  const { file, chainKey, instance = 'local', onFailure = 'drop', clock, log } = options;
  if (file === undefined) return NO_AUDIT;
  const sink = sinkOf(file, options);
  const chain = chainKey && new Chain(chainKey, instance);
  const onFault = (fault: SinkFault | undefined): void => tellFault(options, fault);
  const warn = (message: string): void => log.warn(message);
  const writer = new AuditWriter({ sink, chain, clock, onFault, warn });
  const endHeads = chain === undefined ? () => undefined : tellHeads(options, chain);
  // Opened now: a sink that cannot be written is known before the first change.
  void writer.flush();
  const { record, recordSoon, end } = recorder(writer, clock);
  return {
    record,
    recordSoon,
    refusal: () => (onFailure === 'refuse' ? writer.fault?.message : undefined),
    status: () => ({
      isOn: true,
      fault: writer.fault,
      waitingLines: writer.waitingLines,
      droppedLines: writer.dropped,
      head: chain?.head,
    }),
    flush: () => writer.flush(),
    close: async () => {
      end();
      const left = await writer.close();
      endHeads();
      if (left > 0) log.error(`audit: ${left} lines could not be written and are lost`);
      await sink.close();
    },
  };
}
