import { stringify } from 'yaml';

/** One level of indentation. */
export const STEP = '  ';

/** The options of cdk8s: a line stays one line, and YAML 1.1 so that older readers agree. */
const LIKE_CDK8S = { keepUndefined: true, lineWidth: 0, version: '1.1' } as const;

/** A value at some depth, as the library that cdk8s uses writes it, from its first character on. */
function byLibrary(value: unknown, depth: number): string {
  let nested = value;
  for (let level = 0; level < depth; level += 1) nested = { k: nested };
  // Before the value stand `k:` lines, one for each level: `k:\n  k:\n    k: `.
  const before = Array.from({ length: depth }, (_, level) => 2 * level + 3);
  const start = before.reduce((sum, characters) => sum + characters, 0);
  return stringify(nested, LIKE_CDK8S).slice(start);
}

/**
 * A text with escapes: control characters, lone surrogates, blanks after the last newline. These
 * are rare and full of special cases, so the library writes them.
 */
export function escapedText(text: string, indent: string): string {
  return byLibrary(text, indent.length / STEP.length).slice(0, -1);
}

/** The same for a key: `indent` is that of its value, one level deeper. */
export function escapedKey(key: string, indent: string): string {
  const own = indent.slice(STEP.length);
  const line = byLibrary({ [key]: 0 }, own.length / STEP.length).slice(own.length);
  return line.slice(0, -': 0\n'.length);
}

/** In quotes, those that need fewer escapes; the text has no newline and no control character. */
export function quoted(text: string): string {
  return text.includes('"') && !text.includes("'") ? `'${text}'` : JSON.stringify(text);
}

/** How the newlines at the end are kept: `-` none, clip (one) by default, `+` all. */
function chomping(text: string, end: string): string {
  const newline = end.indexOf('\n');
  if (newline < 0) return '-';
  return text === end || newline !== end.length - 1 ? '+' : '';
}

/** Lines as they are, behind `|`. The text has a newline and does not end in blanks after one. */
export function blockText(text: string, indent: string): string {
  const indented = (lines: string): string => lines.replace(/\n+/g, `$&${indent}`);
  const end = /[\n\t ]*$/.exec(text)?.[0] ?? '';
  const chomp = chomping(text, end);
  const body = text.slice(0, text.length - end.length);
  // Blanks at the start would be taken for indentation, so it is stated.
  const start = /^[\n ]*/.exec(body)?.[0] ?? '';
  const stated = start.includes(' ') ? String(STEP.length) : '';
  const rest = end.endsWith('\n') ? end.slice(0, -1) : end;
  const tail = rest.replace(/\n+(?!\n|$)/g, `$&${indent}`);
  return `|${stated}${chomp}\n${indent}${indented(body)}${tail}`;
}
