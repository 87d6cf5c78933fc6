import type { KeyObject } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import type { ChainHead, ChainOpening } from './chain';
import { GENESIS, macOf, openingOf, sealedLine } from './chain';
import { linesOf, MAX_LINE_BYTES } from './line-reader';
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
  /** The newest ones; `spanCount` has all. */
  readonly spans: readonly ChainSpan[];
  readonly spanCount: number;
  /** The first ones; `faultCount` has all. */
  readonly faults: readonly ChainFault[];
  readonly faultCount: number;
  /** Bytes of a line at the very end that was not written whole. */
  readonly tornBytes: number;
  /** Of the heads that were asked for, those that no line has. */
  readonly missingHeads: readonly string[];
}

/** What is known of a record from elsewhere. MACs are in hex, whole or their beginning. */
export interface KnownRecord {
  /** MACs that must be there. */
  readonly heads?: readonly string[];
  /** Lines before this number may be missing: their files were deleted on purpose. */
  readonly from?: number;
  /** MACs of openings that may begin a new chain after other lines. */
  readonly newChains?: readonly string[];
}

const MAX_FAULTS = 20;
const MAX_SPANS = 20;
/** Of a MAC, in a message that says how to allow it. */
const MAC_DIGITS = 12;

/** What is wrong with a line whose MAC does not fit the line before. */
function misfit(before: ChainHead, n: number): string {
  const next = before.n + 1;
  if (n === next) return 'was changed, or the line before it was';
  if (n < next) return `is number ${n} after number ${before.n}: it was moved, or put in`;
  const missing = n - next === 1 ? `line ${next} is` : `lines ${next} to ${n - 1} are`;
  return `is number ${n} after number ${before.n}: ${missing} missing`;
}

const lowerCase = (texts: readonly string[] = []): string[] =>
  texts.map((text) => text.toLowerCase());

class Verification {
  files = 0;
  lines = 0;
  faultCount = 0;
  spanCount = 0;
  tornBytes = 0;
  readonly faults: ChainFault[] = [];
  readonly spans: ChainSpan[] = [];
  readonly missingHeads: Set<string>;
  private readonly from: number;
  private readonly newChains: readonly string[];
  private readonly openings = new Set<string>();
  private before: ChainHead | undefined;

  constructor(
    private readonly key: KeyObject,
    { heads, from = 1, newChains }: KnownRecord,
  ) {
    this.missingHeads = new Set(lowerCase(heads));
    this.newChains = lowerCase(newChains);
    this.from = from;
  }

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
    const { before } = this;
    const { n, mac } = sealed;
    const opening = openingOf(bytes.toString());
    const after = opening === undefined ? before : statedBy(opening, n);
    this.before = { n, mac };
    if (after === undefined) {
      return this.fault(place, 'does not open a chain: lines before are missing');
    }
    const body = Buffer.from(sealed.body, 'latin1');
    if (macOf(this.key, after.mac, body) !== mac || n !== after.n + 1) {
      return this.fault(place, misfit(after, n));
    }
    const wrong = opening && this.wrongPlace(opening, before, this.before);
    if (wrong !== undefined) this.fault(place, wrong);
    this.wasSeen(place, this.before, opening);
  }

  /** Why an opening that fits the key does not belong where it is; undefined: it does. */
  private wrongPlace(
    { previous }: ChainOpening,
    before: ChainHead | undefined,
    { n, mac }: ChainHead,
  ): string | undefined {
    const isRepeated = this.openings.has(mac);
    this.openings.add(mac);
    if (isRepeated) return `is number ${n} again: the file was copied`;
    if (previous === before?.mac) return undefined;
    if (before === undefined) {
      if (n <= this.from) return undefined;
      return `is number ${n}, the first of the record: lines ${this.from} to ${n - 1} are missing; if their files were deleted on purpose, allow it: --from ${n}`;
    }
    if (previous !== GENESIS.mac) {
      return `goes on from another line than the one before: ${misfit(before, n)}`;
    }
    if (this.newChains.some((known) => mac.startsWith(known))) return undefined;
    return `begins a new chain after number ${before.n}: lines may be missing before it; if the service began it on purpose, allow it: --new-chain ${mac.slice(0, MAC_DIGITS)}`;
  }

  private wasSeen(place: LinePlace, head: ChainHead, opening: ChainOpening | undefined): void {
    for (const wanted of this.missingHeads) {
      if (head.mac.startsWith(wanted)) this.missingHeads.delete(wanted);
    }
    const end = { ...place, ...head };
    const last = this.spans.at(-1);
    const instance = opening?.instance ?? last?.instance ?? 'unknown';
    const goesOn =
      last !== undefined && opening?.previous !== GENESIS.mac && last.instance === instance;
    if (goesOn) return void (last.end = end);
    this.spanCount += 1;
    this.spans.push({ instance, begin: { ...place, n: head.n }, end });
    if (this.spans.length > MAX_SPANS) this.spans.shift();
  }
}

/** The line that an opening says it goes on from. */
const statedBy = ({ previous }: ChainOpening, n: number): ChainHead => ({
  n: previous === GENESIS.mac ? 0 : n - 1,
  mac: previous,
});

/** The files of a record, oldest first. */
export async function recordFiles(file: string): Promise<readonly string[]> {
  // Rotated files are beside the file that a link names.
  const path = await realpath(file).catch(() => file);
  return [...(await rotatedFiles(path)), path];
}

/**
 * Looks at each line of a record. A fault is a line that was changed, removed, moved or put in.
 * Lines that were cut off at the end leave no trace in the files: `heads` (from the log or the
 * metrics) must be in them.
 */
export async function verifyChain(
  files: readonly string[],
  key: KeyObject,
  known: KnownRecord = {},
): Promise<ChainReport> {
  const found = new Verification(key, known);
  for (const file of files) {
    found.files += 1;
    let line = 0;
    for await (const { bytes, isTorn } of linesOf(file)) {
      line += 1;
      const place = { file, line };
      if (bytes.length > MAX_LINE_BYTES) {
        found.fault(place, `has more than ${MAX_LINE_BYTES} bytes: it was put in`);
      } else if (!isTorn) found.add(bytes, place);
      else if (file === files.at(-1)) found.tornBytes = bytes.length;
      else found.fault(place, 'is not whole, and another file follows');
    }
  }
  const { files: count, lines, spans, spanCount, faults, faultCount, tornBytes } = found;
  const missingHeads = [...found.missingHeads];
  return { files: count, lines, spans, spanCount, faults, faultCount, tornBytes, missingHeads };
}
