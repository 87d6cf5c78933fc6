// JSON.parse cannot be told what to do with a number; so the text is changed before it.

const BACKSLASH = 0x5c;

/** Index behind the string that begins at `start`. */
export function behindString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes += 1;
    if (slashes % 2 === 0) return end + 1;
  }
  return text.length;
}

/**
 * Rewrites tokens of a JSON text that stand outside of its strings, by what `change` gives for them.
 * Linear in the text.
 *
 * @param pattern global, and with `"` as its first alternative, so that strings are found and left out
 */
export function rewritten(
  text: string,
  pattern: RegExp,
  change: (token: string) => string,
): string {
  let out = '';
  let kept = 0;
  pattern.lastIndex = 0;
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    const [token] = match;
    if (token === '"') {
      pattern.lastIndex = behindString(text, match.index);
      continue;
    }
    const changed = change(token);
    if (changed === token) continue;
    out += text.slice(kept, match.index) + changed;
    kept = pattern.lastIndex;
  }
  return out + text.slice(kept);
}
