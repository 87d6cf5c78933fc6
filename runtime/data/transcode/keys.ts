import { behindString } from '../../shared/json-values';

const QUOTE = 0x22;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * The keys of an object with duplicates, without those of inner objects.
 * @param text valid JSON of an object
 */
export function keysOf(text: string): readonly string[] {
  const keys: string[] = [];
  let depth = 0;
  let last = '';
  for (let at = 0; at < text.length;) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      const from = at;
      at = behindString(text, from);
      if (depth === 1) last = text.slice(from, at);
      continue;
    }
    if (code === OPEN_LIST || code === OPEN_OBJECT) depth += 1;
    else if (code === CLOSE_LIST || code === CLOSE_OBJECT) depth -= 1;
    else if (code === COLON && depth === 1) keys.push(JSON.parse(last) as string);
    at += 1;
  }
  return keys;
}
