import type { Splice } from './splice';
import { SpliceBuilder, eachKey, elementsOf, endOf } from './splice';
import type { Scanner } from '../transcode/scanner';
import { NotSimple, scanned } from '../transcode/scanner';

// KServe V1 and TensorFlow Serving's row format: one list of rows.

/** Splices the list named `list`; a message without it is in another format. */
function spliceRows(text: string, list: string, shapeOf?: (rows: readonly string[]) => string) {
  return scanned(
    text,
    (scanner): Splice => {
      const builder = new SpliceBuilder(text);
      let rows = 0;
      let shape = '';
      eachKey(scanner, (key) => {
        if (key !== list) return void scanner.value();
        const elements = elementsOf(scanner, endOf);
        const { starts, ends } = elements;
        rows = starts.length;
        if (rows === 0) throw new NotSimple();
        shape = shapeOf?.(starts.map((start, at) => text.slice(start, ends[at]))) ?? '';
        const field = { kind: 'list', elements, perRow: 1 } as const;
        builder.field(starts[0] ?? 0, ends[rows - 1] ?? 0, field);
      });
      if (rows === 0) throw new NotSimple();
      return builder.build(rows, shape);
    },
    true,
  );
}

/** `[[1, 2], [3, 4]]` → `[2[2n]]`; rows of one shape have the same text. */
function shapeOfValue(scanner: Scanner, depth = 0): string {
  if (depth > 32) throw new NotSimple();
  if (scanner.next === 0x5b) {
    const inner = new Set<string>();
    const count = scanner.list(() => void inner.add(shapeOfValue(scanner, depth + 1)));
    return `[${count}${[...inner].join('|')}]`;
  }
  if (scanner.next === 0x7b) {
    const fields: string[] = [];
    eachKey(scanner, (key) => void fields.push(`${key}:${shapeOfValue(scanner, depth + 1)}`));
    return `{${fields.join(',')}}`;
  }
  const text = scanner.value();
  return text.startsWith('"') ? 's' : /^[tf]/.test(text) ? 'b' : 'n';
}

function shapeOfRow(row: string): string | undefined {
  return scanned(row, (scanner) => shapeOfValue(scanner), true);
}

/** All rows must have one shape, or the request is sent alone. */
function shapeOfRows(rows: readonly string[]): string {
  const shapes = new Set(rows.map(shapeOfRow));
  const [shape] = shapes;
  if (shapes.size !== 1 || shape === undefined) throw new NotSimple();
  return shape;
}

/** A `:predict` request with `instances`. Undefined: it cannot be batched. */
export function spliceV1(text: string): Splice | undefined {
  return spliceRows(text, 'instances', shapeOfRows);
}

/** An answer with `predictions`. */
export function spliceV1Answer(text: string): Splice | undefined {
  return spliceRows(text, 'predictions');
}
