import type { KeyObject } from 'node:crypto';
import type { ChainHead, ChainOpening } from './chain';
import { GENESIS, macOf, openingOf, sealedLine } from './chain';
import { linesOf } from './line-reader';
import { rotatedFiles } from './rotated-files';

/** Place of a line. */
export interface LinePlace {
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

export interface ChainFault extends LinePlace {
  readonly message: string;
}

/** A part of the record that hangs together. */
export interface ChainSpan {
  readonly instance: string;
  readonly begin: LinePlace & { readonly n: number };
  end: LinePlace & ChainHead;
}

export interface ChainReport {
  readonly files: number;
  readonly lines: number;
  readonly spans: readonly ChainSpan[];
  /** The first ones; `faultCount` has all. */
  readonly faults: readonly ChainFault[];
  readonly faultCount: number;
  /** Bytes of a line at the very end that was not written whole. */
  readonly tornBytes: number;
  /** Does a line have the MAC that was asked for? Undefined: none was. */
  readonly hasHead: boolean | undefined;
}

const MAX_FAULTS = 20;

/** What is wrong with a line whose MAC does not fit the line before. */
function misfit(before: ChainHead, n: number): string {
  const next = before.n + 1;
  if (n === next) return 'was changed, or the line before it was';
  if (n < next) return `is number ${n} after number ${before.n}: it was moved, or put in`;
  const missing = n - next === 1 ? `line ${next} is` : `lines ${next} to ${n - 1} are`;
  return `is number ${n} after number ${before.n}: ${missing} missing`;
}

class Verification {
  files = 0;
  lines = 0;
  faultCount = 0;
  tornBytes = 0;
  hasHead = false;
  readonly faults: ChainFault[] = [];
  readonly spans: ChainSpan[] = [];
  private before: ChainHead | undefined;

  constructor(
    private readonly key: KeyObject,
    /** In hex, whole or its beginning. */
    private readonly wanted: string | undefined,
  ) {}

  fault(place: LinePlace, message: string): void {
    this.faultCount += 1;
    if (this.faults.length < MAX_FAULTS) this.faults.push({ ...place, message });
  }

  /** One whole line. */
  add(bytes: Buffer, place: LinePlace): void {
    this.lines += 1;
    // Byte for byte: the MAC is over bytes.
    const sealed = sealedLine(bytes.toString('latin1'));
    if (sealed === undefined) {
      return this.fault(place, 'has no MAC: it was put in or changed, or written without a chain');
    }
    const opening = openingOf(bytes.toString());
    const before = this.beforeOf(opening, sealed, place);
    const body = Buffer.from(sealed.body, 'latin1');
    const fits = before !== undefined && macOf(this.key, before.mac, body) === sealed.mac;
    if (before !== undefined && (!fits || sealed.n !== before.n + 1)) {
      this.fault(place, misfit(before, sealed.n));
    }
    const { n, mac } = sealed;
    this.before = { n, mac };
    this.wasSeen(place, this.before, opening);
  }

  /** The line that this one hangs on; undefined: it cannot be known. */
  private beforeOf(
    opening: ChainOpening | undefined,
    { n }: ChainHead,
    place: LinePlace,
  ): ChainHead | undefined {
    const { before } = this;
    if (opening === undefined) {
      if (before === undefined)
        this.fault(place, 'does not open a chain: lines before are missing');
      return before;
    }
    const isGenesis = opening.previous === GENESIS.mac;
    const stated = { n: isGenesis ? 0 : n - 1, mac: opening.previous };
    const isFirst = isGenesis || before === undefined;
    if (!isFirst && before.mac !== opening.previous) {
      this.fault(place, `goes on from another line than the one before: ${misfit(before, n)}`);
    }
    return stated;
  }

  private wasSeen(place: LinePlace, head: ChainHead, opening: ChainOpening | undefined): void {
    if (this.wanted !== undefined && head.mac.startsWith(this.wanted)) this.hasHead = true;
    const end = { ...place, ...head };
    const last = this.spans.at(-1);
    const instance = opening?.instance ?? last?.instance ?? 'unknown';
    const goesOn =
      last !== undefined && opening?.previous !== GENESIS.mac && last.instance === instance;
    if (goesOn) last.end = end;
    else this.spans.push({ instance, begin: { ...place, n: head.n }, end });
  }
}

/** The files of a record, oldest first. */
export async function recordFiles(file: string): Promise<readonly string[]> {
  return [...(await rotatedFiles(file)), file];
}

/**
 * Looks at each line of a record. A fault is a line that was changed, removed, moved or put in.
 * Lines that were cut off at the end leave no trace in the files: `head` (from the log or the
 * metrics), a MAC or its beginning, must be in them.
 */
export async function verifyChain(
  files: readonly string[],
  key: KeyObject,
  head?: string,
): Promise<ChainReport> {
  const found = new Verification(key, head?.toLowerCase());
  for (const file of files) {
    found.files += 1;
    let line = 0;
    for await (const { bytes, isTorn } of linesOf(file)) {
      line += 1;
      const place = { file, line };
      if (!isTorn) found.add(bytes, place);
      else if (file === files.at(-1)) found.tornBytes = bytes.length;
      else found.fault(place, 'is not whole, and another file follows');
    }
  }
  const { files: count, lines, spans, faults, faultCount, tornBytes } = found;
  const hasHead = head === undefined ? undefined : found.hasHead;
  return { files: count, lines, spans, faults, faultCount, tornBytes, hasHead };
}
