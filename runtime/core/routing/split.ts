import type { ModelRoute, Share } from './table';

/** Shares are hundredths of a percent: all traffic is 10,000 of them. */
export const ALL_TRAFFIC = 10_000;

/** Values of a 32-bit hash. */
const HASHES = 2 ** 32;

const REPLACEMENT = 0xfffd;

/** The code point at `index`; a lone surrogate is U+FFFD, as every UTF-8 encoder has it. */
function codePoint(text: string, index: number): number {
  const point = text.codePointAt(index) ?? REPLACEMENT;
  return point >= 0xd800 && point <= 0xdfff ? REPLACEMENT : point;
}

function encode(point: number, bytes: Uint8Array, at: number): number {
  if (point < 0x80) {
    bytes[at] = point;
    return at + 1;
  }
  const length = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  for (let rest = length - 1, left = point; rest >= 0; rest -= 1) {
    // The first byte carries as many leading ones as there are bytes.
    const mark = rest > 0 ? 0x80 : (0xf00 >> length) & 0xff;
    bytes[at + rest] = mark | (rest > 0 ? left & 0x3f : left);
    left >>>= 6;
  }
  return at + length;
}

/** UTF-8 of a text (RFC 3629), without anything of the platform. @returns how many bytes */
function encodeInto(text: string, bytes: Uint8Array): number {
  let at = 0;
  for (let index = 0; index < text.length; index += 1) {
    const point = codePoint(text, index);
    at = encode(point, bytes, at);
    if (point > 0xffff) index += 1;
  }
  return at;
}

export function utf8(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length * 3);
  return bytes.subarray(0, encodeInto(text, bytes));
}

const rotate = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits));

const scramble = (block: number): number =>
  Math.imul(rotate(Math.imul(block, 0xcc9e2d51), 15), 0x1b873593);

/** MurmurHash3_x86_32 (Austin Appleby, public domain): 32 well mixed bits, the same everywhere. */
export function murmur3(bytes: Uint8Array, seed = 0, length = bytes.length): number {
  const whole = length & ~3;
  const at = (index: number): number => (index < length ? (bytes[index] ?? 0) : 0);
  let hash = seed;
  for (let index = 0; index < whole; index += 4) {
    const block = at(index) | (at(index + 1) << 8) | (at(index + 2) << 16) | (at(index + 3) << 24);
    hash = (Math.imul(rotate(hash ^ scramble(block), 13), 5) + 0xe6546b64) | 0;
  }
  const tail = at(whole) | (at(whole + 1) << 8) | (at(whole + 2) << 16);
  if (length > whole) hash ^= scramble(tail);
  hash ^= length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Room for most keys: an array for each request costs more than its hash. */
const SCRATCH = new Uint8Array(1024);

/** Position of a key in [0, 2^32); divided by 2^32 it is the `u` of the design. */
export function cohortHash(salt: string, key: string): number {
  const text = `${salt}\0${key}`;
  if (text.length * 3 > SCRATCH.length) return murmur3(utf8(text));
  return murmur3(SCRATCH, 0, encodeInto(text, SCRATCH));
}

/** An arm and why it was chosen. Intervals and positions are fractions of all callers. */
export type ArmChoice =
  | { readonly reason: 'only_arm'; readonly arm: string }
  | {
      readonly reason: 'cohort';
      readonly arm: string;
      /** Position of the key, 0 to below 1. */
      readonly position: number;
      /** The part of [0, 1) the arm owns around it: from (included) to (not included). */
      readonly interval: readonly [from: number, to: number];
    }
  | { readonly reason: 'in_turn'; readonly arm: string };

type Cohort = Omit<Extract<ArmChoice, { reason: 'cohort' }>, 'reason' | 'position'>;

/**
 * The first candidate owns [0, w1), the second [1 − w2, 1), stable the rest: while a share grows,
 * no caller leaves the candidate. Compared as integers: hash × 10,000 stays below 2^46.
 */
function ownerOf(shares: readonly Share[], hash: number): Cohort {
  const [stable, first, second] = shares;
  const low = first?.hundredths ?? 0;
  const high = ALL_TRAFFIC - (second?.hundredths ?? 0);
  const scaled = hash * ALL_TRAFFIC;
  const part = (arm: string | undefined, from: number, to: number): Cohort => ({
    arm: arm ?? '',
    interval: [from / ALL_TRAFFIC, to / ALL_TRAFFIC],
  });
  if (scaled < low * HASHES) return part(first?.arm, 0, low);
  if (scaled >= high * HASHES) return part(second?.arm, high, ALL_TRAFFIC);
  return part(stable?.arm, low, high);
}

type SplitRoute = Pick<ModelRoute, 'shares' | 'salt'>;

function onlyArm(shares: readonly Share[]): string | undefined {
  const all = shares.find(({ hundredths }) => hundredths === ALL_TRAFFIC);
  return all?.arm ?? (shares.length === 1 ? shares[0]?.arm : undefined);
}

/**
 * Replays the decision for a key, on any router and at any time: nothing but table and key goes in.
 */
export function explainArm({ shares, salt }: SplitRoute, key: string): ArmChoice {
  const only = onlyArm(shares);
  if (only !== undefined) return { reason: 'only_arm', arm: only };
  const hash = cohortHash(salt, key);
  const { arm, interval } = ownerOf(shares, hash);
  return { reason: 'cohort', arm, position: hash / HASHES, interval };
}

/** What smooth weighted round robin remembers: the credit of each arm. Starts empty. */
export type Credits = ReadonlyMap<string, number>;

export const NO_CREDITS: Credits = new Map();

export interface RoundRobinStep {
  readonly arm: string;
  readonly credits: Credits;
}

/**
 * Smooth weighted round robin (as in nginx): everyone earns its share, the richest is served and
 * pays the whole. 70/20/10 gives s s a s s b s s a s, exact after each cycle. Credits outlive a
 * change of shares; an arm without a share has none.
 */
export function nextRoundRobin(shares: readonly Share[], credits: Credits): RoundRobinStep {
  const taking = shares.filter(({ hundredths }) => hundredths > 0);
  const earned = new Map(
    taking.map(({ arm, hundredths }) => [arm, (credits.get(arm) ?? 0) + hundredths]),
  );
  const total = taking.reduce((sum, { hundredths }) => sum + hundredths, 0);
  let arm = '';
  let most = -Infinity;
  for (const [name, credit] of earned) {
    if (credit > most) {
      arm = name;
      most = credit;
    }
  }
  earned.set(arm, most - total);
  return { arm, credits: earned };
}

/** The arm of a request: by its key, or in turn without one. */
export function chooseArm(
  route: SplitRoute,
  key: string | undefined,
  credits: Credits,
): { readonly choice: ArmChoice; readonly credits: Credits } {
  const only = onlyArm(route.shares);
  if (only !== undefined) return { choice: { reason: 'only_arm', arm: only }, credits };
  if (key !== undefined) return { choice: explainArm(route, key), credits };
  const turn = nextRoundRobin(route.shares, credits);
  return { choice: { reason: 'in_turn', arm: turn.arm }, credits: turn.credits };
}
