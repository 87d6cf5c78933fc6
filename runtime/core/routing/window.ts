import type { WindowStats } from './load';

/** The last minute in 12 parts: when a part is full the oldest one goes. */
const PARTS = 12;
const PART_MS = 5_000;
/** Bins grow by 8 %, so a percentile is off by 4 % at most. */
const GROWTH = 1.08;
const LOWEST_MS = 0.05;
/** Up to 600 s, twice the longest request there can be. */
const BINS = Math.ceil(Math.log(600_000 / LOWEST_MS) / Math.log(GROWTH)) + 1;

interface Part {
  /** Number of the part since the epoch. */
  number: number;
  failures: number;
  requests: number;
  readonly bins: Uint32Array;
}

/** Outcomes of the last minute; at most 10 kB, nothing before the first outcome. */
export interface OutcomeWindow {
  readonly parts: (Part | undefined)[];
}

export function createWindow(): OutcomeWindow {
  return { parts: Array.from<Part | undefined>({ length: PARTS }) };
}

function binOf(ms: number): number {
  const bin = Math.ceil(Math.log(Math.max(ms, LOWEST_MS) / LOWEST_MS) / Math.log(GROWTH));
  return Math.min(BINS - 1, Math.max(0, bin));
}

/** The middle of a bin in logarithms. */
const valueOf = (bin: number): number => LOWEST_MS * GROWTH ** (bin - 0.5);

function partAt(window: OutcomeWindow, now: number): Part {
  const number = Math.floor(now / PART_MS);
  const at = number % PARTS;
  const found = window.parts[at];
  if (found?.number === number) return found;
  const bins = found?.bins.fill(0) ?? new Uint32Array(BINS);
  const part = { number, failures: 0, requests: 0, bins };
  window.parts[at] = part;
  return part;
}

/** Counts an outcome that ended at `now` after `ms` milliseconds. */
export function addToWindow(window: OutcomeWindow, now: number, ms: number, failed: boolean): void {
  const part = partAt(window, now);
  part.requests += 1;
  if (failed) part.failures += 1;
  const bin = binOf(ms);
  part.bins[bin] = (part.bins[bin] ?? 0) + 1;
}

function percentile(bins: Uint32Array, requests: number, part: number): number {
  const rank = Math.max(1, Math.ceil(requests * part));
  let seen = 0;
  const found = bins.findIndex((count) => {
    seen += count;
    return seen >= rank;
  });
  return valueOf(Math.max(0, found));
}

/** Seconds that `windowStats` covers, of a window that began at `since`; at least one. */
export function windowSeconds(now: number, since: number): number {
  const full = (PARTS - 1) * PART_MS + (now % PART_MS);
  return Math.max(1000, Math.min(full, now - since)) / 1000;
}

/** The last 55 to 60 seconds up to `now`. */
export function windowStats(window: OutcomeWindow, now: number): WindowStats {
  const newest = Math.floor(now / PART_MS);
  const bins = new Uint32Array(BINS);
  let requests = 0;
  let failures = 0;
  for (const part of window.parts) {
    if (part === undefined || part.number <= newest - PARTS || part.number > newest) continue;
    requests += part.requests;
    failures += part.failures;
    for (let bin = 0; bin < BINS; bin += 1) bins[bin] = (bins[bin] ?? 0) + (part.bins[bin] ?? 0);
  }
  if (requests === 0) return { requests, failures };
  return {
    requests,
    failures,
    p50: percentile(bins, requests, 0.5),
    p95: percentile(bins, requests, 0.95),
    p99: percentile(bins, requests, 0.99),
  };
}
