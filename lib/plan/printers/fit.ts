/** A part of a report in two lengths; both are empty or end with a line feed. */
export interface Part {
  readonly short: string;
  readonly full: string;
}

const utf8 = new TextEncoder();
export const bytesOf = (text: string): number => utf8.encode(text).length;

/**
 * Parts in their order, together at most so many bytes: first as many as fit in their short form,
 * then as many of those as fit in full.
 */
export function fitted(
  parts: readonly Part[],
  maxBytes: number,
): { readonly texts: readonly string[]; readonly left: number } {
  let room = maxBytes;
  const taken: Part[] = [];
  for (const part of parts) {
    const need = bytesOf(part.short);
    if (need > room) break;
    room -= need;
    taken.push(part);
  }
  const texts = taken.map(({ short, full }) => {
    const more = bytesOf(full) - bytesOf(short);
    if (more > room) return short;
    room -= more;
    return full;
  });
  return { texts, left: parts.length - taken.length };
}
