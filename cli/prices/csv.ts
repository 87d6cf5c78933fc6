/** A line of a CSV file. */
export interface CsvRow {
  /** From 1. */
  readonly line: number;
  readonly cells: readonly string[];
}

const CELL = /(?:"((?:[^"]|"")*)"|([^,"\r\n]*))(,|\r?\n|$)/y;

/**
 * Rows of a CSV text (RFC 4180: cells with commas are in quotes, a quote is doubled). Empty lines
 * and comments (`#`) are left out.
 * @throws Error with the line where a quote is wrong
 */
export function csvRows(text: string): readonly CsvRow[] {
  const rows: CsvRow[] = [];
  let [at, line] = [0, 1];
  while (at < text.length) {
    const begin = line;
    const cells: string[] = [];
    let end = ',';
    while (end === ',') {
      CELL.lastIndex = at;
      const match = CELL.exec(text);
      if (match === null)
        throw new Error(`line ${line}: a quote is wrong; double it, or remove it`);
      const [whole, quoted, plain = '', separator = ''] = match;
      cells.push((quoted?.replaceAll('""', '"') ?? plain).trim());
      at += whole.length;
      line += whole.split('\n').length - 1;
      end = separator;
    }
    const [first = ''] = cells;
    if (!first.startsWith('#') && cells.some((cell) => cell !== '')) {
      rows.push({ line: begin, cells });
    }
  }
  return rows;
}
