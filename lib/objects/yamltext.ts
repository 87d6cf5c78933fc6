/** One level of indentation. */
export const STEP = '  ';

/**
 * Characters that some reader refuses, or reads as a line break, unescaped: control characters,
 * DEL, C1 with NEL, U+2028 and U+2029, the byte order mark, non-characters, and lone surrogates
 * (go-yaml `readerc.go`, PyYAML `Reader.NON_PRINTABLE`).
 */
// oxlint-disable-next-line no-control-regex
const UNREADABLE = /[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\u{D800}-\u{DFFF}]/u;
const EACH_UNREADABLE = new RegExp(UNREADABLE.source, 'gu');

/** Blanks after the last newline are invisible in a block. */
const BLANK_END = /\n[\t ]+$/;
/** go-yaml refuses a tab where it looks for the indentation of a block. */
const TAB_START = /^[\n ]*\t/;

/** Whether a text must be written with escapes. */
export function needsEscapes(text: string): boolean {
  return UNREADABLE.test(text) || BLANK_END.test(text);
}

/** Whether a text with newlines cannot be written as a block. */
export function isNoBlock(text: string): boolean {
  return TAB_START.test(text);
}

const escapeOf = (character: string): string =>
  `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** JSON with every unreadable character escaped, so that its lines stay lines in YAML. */
export function readable(json: string): string {
  return json.replaceAll(EACH_UNREADABLE, escapeOf);
}

/** In double quotes on one line: the escapes of JSON, which every reader of YAML knows. */
export function escapedText(text: string): string {
  return readable(JSON.stringify(text));
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
  // Leading blanks would be read as indentation, so the indentation is stated.
  const start = /^[\n ]*/.exec(body)?.[0] ?? '';
  const stated = start.includes(' ') ? String(STEP.length) : '';
  const rest = end.endsWith('\n') ? end.slice(0, -1) : end;
  const tail = rest.replace(/\n+(?!\n|$)/g, `$&${indent}`);
  return `|${stated}${chomp}\n${indent}${indented(body)}${tail}`;
}
