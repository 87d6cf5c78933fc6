import type { KeyObject } from 'node:crypto';
import { createHmac, createSecretKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isoOf } from '../shared/iso';
import { quoted } from '../shared/quoted';
import { LINE_START } from './entry';
import type { FileLine } from './line-reader';

// Each line ends in its number and the MAC of the line before together with this one, up to its own
// MAC: `…,"n":57,"mac":"64 hex digits"}`. A line that is changed, removed, moved or put in between
// breaks the chain there. Without the key no line can be made that fits.

/** Where a chain stands: number and MAC of its last line. */
export interface ChainHead {
  readonly n: number;
  readonly mac: string;
}

/** Before the first line of a chain. */
export const GENESIS: ChainHead = { n: 0, mac: '0'.repeat(64) };

/** Guessing a shorter key is no longer hopeless. */
const MIN_KEY_BYTES = 16;

/** The key of a chain; line ends after it do not count. @throws when it cannot be used */
export function readChainKey(file: string): KeyObject {
  const text = readFileSync(file, 'latin1').replace(/[\r\n]+$/, '');
  if (text.length >= MIN_KEY_BYTES) return createSecretKey(text, 'latin1');
  throw new Error(
    `${file}: the chain key has ${text.length} bytes, must have ${MIN_KEY_BYTES} or more; make one: openssl rand -hex 32`,
  );
}

/** @param body the line up to its MAC */
export function macOf(key: KeyObject, previous: string, body: Buffer | string): string {
  return createHmac('sha256', key).update(previous).update(body).digest('hex');
}

/** A line of a chain, taken apart. */
export interface SealedLine extends ChainHead {
  /** What its MAC is over, beside the MAC of the line before. */
  readonly body: string;
}

const SEALED = /^(\{.*,"n":(\d{1,15})),"mac":"([0-9a-f]{64})"\}$/s;

/** @param line without its line feed; undefined: it has no MAC */
export function sealedLine(line: string): SealedLine | undefined {
  const [, body, n, mac] = SEALED.exec(line) ?? [];
  return body === undefined || mac === undefined ? undefined : { body, n: Number(n), mac };
}

/** The line that opens a chain, a file, or the part that a restarted service adds. */
export interface ChainOpening {
  readonly instance: string;
  /** MAC of the line before; that of `GENESIS` where the chain begins. */
  readonly previous: string;
}

/** The opening that a line is, if it is one. */
export function openingOf(line: string): ChainOpening | undefined {
  if (!line.includes('"action":"chain"')) return undefined;
  try {
    const { instance, previous } = JSON.parse(line) as Partial<ChainOpening>;
    if (typeof instance !== 'string' || typeof previous !== 'string') return undefined;
    return { instance, previous };
  } catch {
    return undefined;
  }
}

const LINE_FEED = 0x0a;
/** Most that a seal adds to a line: `,"n":` and 15 digits, `,"mac":"` and 64, `"}` and a line feed. */
export const SEAL_BYTES = 96;

/** Puts number and MAC into lines as they are written. */
export class Chain {
  head = GENESIS;

  constructor(
    private readonly key: KeyObject,
    private readonly instance: string,
  ) {}

  /** The opening, not sealed yet. */
  openingLine(at: number): Buffer {
    const { mac } = this.head;
    return Buffer.from(
      `${LINE_START}${isoOf(at)}","action":"chain","instance":${quoted(this.instance)},"previous":"${mac}"}\n`,
    );
  }

  /** Whole lines with their seals; the head moves on. */
  seal(lines: Buffer, count: number): Buffer {
    const sealed = Buffer.allocUnsafe(lines.length + count * SEAL_BYTES);
    let { n, mac } = this.head;
    let used = 0;
    for (let start = 0; start < lines.length;) {
      const end = lines.indexOf(LINE_FEED, start);
      const from = used;
      // Without the brace at its end.
      used += lines.copy(sealed, used, start, end - 1);
      n += 1;
      used += sealed.write(`,"n":${n}`, used, 'latin1');
      mac = macOf(this.key, mac, sealed.subarray(from, used));
      used += sealed.write(`,"mac":"${mac}"}\n`, used, 'latin1');
      start = end + 1;
    }
    this.head = { n, mac };
    return sealed.subarray(0, used);
  }

  /** Do the last lines of a file fit the key? Then the chain can go on from them. */
  fits(lines: readonly string[]): boolean {
    const last = lines.at(-1) ?? '';
    const found = sealedLine(last);
    const previous = openingOf(last)?.previous ?? sealedLine(lines.at(-2) ?? '')?.mac;
    if (found === undefined || previous === undefined) return false;
    return macOf(this.key, previous, found.body) === found.mac;
  }

  /** The last line of a file that fits the key; undefined: none does. */
  async lastThatFits(lines: AsyncIterable<FileLine>): Promise<ChainHead | undefined> {
    let previous: string | undefined;
    let last: ChainHead | undefined;
    for await (const { bytes } of lines) {
      const found = sealedLine(bytes.toString('latin1'));
      previous = openingOf(bytes.toString())?.previous ?? previous;
      const fits =
        found !== undefined &&
        previous !== undefined &&
        macOf(this.key, previous, Buffer.from(found.body, 'latin1')) === found.mac;
      // By number: a copy of older lines may stand at the end.
      if (fits && found.n > (last?.n ?? 0)) last = { n: found.n, mac: found.mac };
      previous = found?.mac;
    }
    return last;
  }
}
