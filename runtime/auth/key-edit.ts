import type { ListItem } from './key-list';
import { isFiller, listItems } from './key-list';

// Changes of a file of keys. Comments and the form of its other items stay.

const isJson = (text: string): boolean => /^\s*\[/.test(text);

const writeJson = (values: readonly unknown[]): string =>
  `${JSON.stringify(values, undefined, 2)}\n`;

/** The text with one more item. @param text undefined: there is no file yet */
export function withItem(text: string | undefined, value: object): string {
  const line = `- ${JSON.stringify(value)}\n`;
  if (text === undefined || text.trim() === '') return line;
  if (isJson(text)) {
    const values = JSON.parse(text) as readonly unknown[];
    return values.length === 0 ? line : writeJson([...values, value]);
  }
  const [first] = listItems(text);
  const indent = /^ */.exec(first?.text ?? '')?.[0] ?? '';
  return `${text}${text.endsWith('\n') ? '' : '\n'}${indent}${line}`;
}

/** Comments and blank lines before the next item are not a part of this one. */
function linesOf({ text }: ListItem): number {
  const lines = text.split('\n');
  return lines.findLastIndex((line) => !isFiller(line)) + 1;
}

/** The text without these items. */
export function withoutItems(text: string, isGone: (item: ListItem) => boolean): string {
  const items = [...listItems(text)];
  if (isJson(text)) {
    return writeJson(items.filter((item) => !isGone(item)).map((item) => JSON.parse(item.text)));
  }
  const gone = items.filter(isGone);
  if (gone.length === items.length) return '[]\n';
  const isLeft = (_: string, at: number): boolean =>
    !gone.some((item) => at + 1 >= item.line && at + 1 < item.line + linesOf(item));
  return text.split('\n').filter(isLeft).join('\n');
}
