/** One sample on a line of its own; `labels` `a="b",c="d"` with escaped values, or empty. */
export function sample(name: string, labels: string, value: number): string {
  return labels === '' ? `${name} ${value}\n` : `${name}{${labels}} ${value}\n`;
}
