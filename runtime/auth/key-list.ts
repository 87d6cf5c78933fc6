// The text of a file of keys, cut into its items, so that a file of ten thousand keys is read a few
// items at a time, and only those that changed.

/** One item of the list, as it is written. */
export interface ListItem {
  readonly text: string;
  /** Its first line, from 1. */
  readonly line: number;
}

/** A text that is not a list. */
export class ListFault extends Error {
  constructor(
    message: string,
    readonly line: number,
  ) {
    super(message);
  }
}

const NOT_A_LIST = 'must be a list of keys, such as - { name: …, sha256: …, scopes: [infer] }';

/** Lines without a value: blank, a comment, the start of a document. */
export const isFiller = (line: string): boolean => /^\s*(?:#.*)?$|^---\s*$/.test(line);

/**
 * Items of a YAML list begin with a dash in one column: YAML wants all else of an item indented
 * further, so that no line within an item can be taken for the next one.
 * @throws ListFault
 */
function* blockItems(lines: readonly string[]): Generator<ListItem> {
  const first = lines.findIndex((line) => !isFiller(line));
  const [, indent] = /^( *)-(?: |$)/.exec(lines[first] ?? '') ?? [];
  if (indent === undefined) throw new ListFault(NOT_A_LIST, first + 1);
  const isStart = (line: string): boolean =>
    line.startsWith(`${indent}-`) &&
    (line.length === indent.length + 1 || line[indent.length + 1] === ' ');
  let from = first;
  for (let at = first + 1; at <= lines.length; at += 1) {
    const line = lines[at];
    if (line !== undefined && !isStart(line)) continue;
    yield { text: lines.slice(from, at).join('\n'), line: from + 1 };
    from = at;
  }
}

/** The length of the JSON value, object or not, that begins at `from`. */
function jsonEnd(text: string, from: number): number {
  let depth = 0;
  let isText = false;
  for (let at = from; at < text.length; at += 1) {
    const one = text[at];
    if (isText) {
      if (one === '\\') at += 1;
      else if (one === '"') isText = false;
    } else if (one === '"') isText = true;
    else if (one === '{' || one === '[') depth += 1;
    else if (one === '}' || one === ']') {
      if (depth === 0) return at;
      depth -= 1;
    } else if (one === ',' && depth === 0) return at;
  }
  return text.length;
}

const linesIn = (text: string): number => text.split('\n').length - 1;

/** @throws ListFault */
function* jsonItems(text: string): Generator<ListItem> {
  let at = text.indexOf('[') + 1;
  let line = 1 + linesIn(text.slice(0, at));
  for (;;) {
    const end = jsonEnd(text, at);
    const raw = text.slice(at, end);
    const item = raw.trim();
    const isLast = text[end] !== ',';
    // `[]` has no item.
    if (item !== '' || !isLast)
      yield { text: item, line: line + linesIn(raw.slice(0, raw.indexOf(item))) };
    line += linesIn(raw);
    at = end + 1;
    if (isLast) break;
  }
  const isClosed = text[at - 1] === ']' && text.slice(at).trim() === '';
  if (!isClosed) throw new ListFault('is not a whole JSON list; end it with ]', line);
}

/**
 * The items of a list in YAML or JSON.
 * @throws ListFault, also while it is walked
 */
export function listItems(text: string): Iterable<ListItem> {
  if (/^\s*\[/.test(text)) return jsonItems(text);
  const lines = text
    .replace(/\r\n/g, '\n')
    .replace(/^\uFEFF/, '')
    .split('\n');
  if (lines.every(isFiller)) throw new ListFault(`is empty; it ${NOT_A_LIST}, or [] for none`, 1);
  return blockItems(lines);
}
