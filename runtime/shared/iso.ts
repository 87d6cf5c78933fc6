let isoAt = NaN;
let isoText = '';

/** Milliseconds since the epoch as RFC 3339; requests of the same millisecond share the text. */
export function isoOf(at: number): string {
  if (at === isoAt) return isoText;
  isoAt = at;
  isoText = new Date(at).toISOString();
  return isoText;
}
