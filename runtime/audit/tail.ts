import type { FileHandle } from 'node:fs/promises';
import { open, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { LineSplitter, linesOf } from './line-reader';

/** Only lines with these values. */
export interface LineFilter {
  readonly caller?: string | undefined;
  readonly model?: string | undefined;
  readonly action?: string | undefined;
}

export type AuditRecord = Readonly<Record<string, unknown>>;

/** A line that is asked for; undefined: it is not, or it is not one of ours. */
export function wantedRecord(line: string, filter: LineFilter): AuditRecord | undefined {
  try {
    const found: unknown = JSON.parse(line);
    if (typeof found !== 'object' || found === null) return undefined;
    const { caller, model, action } = found as AuditRecord;
    const fits = (value: unknown, wanted?: string): boolean =>
      wanted === undefined || value === wanted;
    const isWanted =
      fits(caller, filter.caller) && fits(model, filter.model) && fits(action, filter.action);
    return isWanted ? (found as AuditRecord) : undefined;
  } catch {
    return undefined;
  }
}

/** A terminal obeys control characters, and a name may hold some. */
export const plain = (text: string): string =>
  // oxlint-disable-next-line no-control-regex -- they are what is replaced
  text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '?');

/** Fields with a place of their own; the others follow with their names. */
const SHOWN = ['time', 'status', 'action', 'model', 'caller'] as const;
const SEALS: ReadonlySet<string> = new Set([...SHOWN, 'n', 'mac']);

/** `2026-01-02T03:04:05.000Z  202  deploy  iris  clinic  revision=3 request_id=r-1` */
export function readable(record: AuditRecord): string {
  const first = SHOWN.map((name) => String(record[name] ?? '-'));
  const rest = Object.entries(record)
    .filter(([name]) => !SEALS.has(name))
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  return plain([...first, rest.join(' ')].join('  '));
}

/** The last lines of a file that are asked for. */
export async function lastRecords(
  file: string,
  count: number,
  filter: LineFilter,
): Promise<readonly AuditRecord[]> {
  const found: AuditRecord[] = [];
  for await (const { bytes, isTorn } of linesOf(file)) {
    const record = isTorn ? undefined : wantedRecord(bytes.toString(), filter);
    if (record !== undefined) found.push(record);
    if (found.length > count) found.shift();
  }
  return found;
}

/** How often a file is looked at, milliseconds. */
const LOOK_MS = 250;
const PIECE_BYTES = 65_536;

/** The file that is read, and how far. */
class Follower {
  private readonly splitter = new LineSplitter();

  constructor(
    readonly handle: FileHandle,
    readonly ino: number,
    private at: number,
  ) {}

  /** Lines that have come. */
  async *next(): AsyncGenerator<string> {
    for (;;) {
      const { buffer, bytesRead } = await this.handle.read(
        Buffer.alloc(PIECE_BYTES),
        0,
        PIECE_BYTES,
        this.at,
      );
      if (bytesRead === 0) return;
      this.at += bytesRead;
      for (const line of this.splitter.take(buffer.subarray(0, bytesRead))) yield line.toString();
    }
  }
}

async function openAt(file: string, isNew: boolean): Promise<Follower | undefined> {
  const handle = await open(file, 'r').catch(() => undefined);
  if (handle === undefined) return undefined;
  const { ino, size } = await handle.stat();
  return new Follower(handle, ino, isNew ? 0 : size);
}

/** Lines that come to a file from now on; one that is rotated is read to its end first. */
export async function* followLines(file: string, signal: AbortSignal): AsyncGenerator<string> {
  let current = await openAt(file, false);
  try {
    while (!signal.aborted) {
      const place = await stat(file).catch(() => undefined);
      if (current !== undefined) yield* current.next();
      if (place !== undefined && place.ino !== current?.ino) {
        await current?.handle.close();
        current = await openAt(file, true);
        continue;
      }
      await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    await current?.handle.close();
  }
}
