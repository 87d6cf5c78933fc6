let isoAt = NaN;
let isoText = '';

/** Milliseconds since the epoch in words; requests of the same millisecond share them. */
export function isoOf(at: number): string {
  if (at === isoAt) return isoText;
  isoAt = at;
  isoText = new Date(at).toISOString();
  return isoText;
}
