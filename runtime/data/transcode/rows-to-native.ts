import { Refusal } from './refusal';
import type { JsonObject } from './body-json';
import { isJsonObject } from './body-json';
import type { NativeItem } from './native-format';
import { valueWithNumbers } from './tensor';
import type { V1Request } from './v1-request';
import { DEFAULT_SIGNATURE } from './v1-request';
import type { V2Request } from './v2-request';
import { columnsOf, rowsOf } from './v2-request';
import { entryOf } from '../../../lib/spec/entry';

// V1 and V2 callers and a server that speaks native: each row is an item.

const bad = (message: string): Refusal => new Refusal('INVALID_REQUEST', message);

/** A native model takes inputs by name and does not publish the names. */
function named(row: unknown, path: string): JsonObject {
  if (isJsonObject(row)) return row;
  throw bad(`${path}: must be an object, input → value: the model speaks native, by names`);
}

/** Columns of the same length, row by row. */
function rowsOfColumns(inputs: unknown): readonly JsonObject[] {
  const columns = Object.entries(named(inputs, 'inputs')).map(([name, value]) => {
    if (Array.isArray(value)) return { name, rows: value as readonly unknown[] };
    throw bad(`inputs.${name}: must be a list, one value for each row`);
  });
  const [first] = columns;
  const other = columns.find(({ rows }) => rows.length !== first?.rows.length);
  if (first === undefined || first.rows.length === 0) throw bad('inputs: has no rows');
  if (other === undefined) return rowsOf(columns);
  throw bad(
    `inputs.${other.name}: has ${other.rows.length} rows, inputs.${first.name} ${first.rows.length}; it must be as many`,
  );
}

/** Rows of a call; 1 for invalid columns, which are rejected later. */
export function rowsIn(call: V1Request): number {
  if (call.kind === 'rows') return call.rows.length;
  const [first] = isJsonObject(call.inputs) ? Object.values(call.inputs) : [];
  return Array.isArray(first) ? first.length : 1;
}

export function v1ToItems(call: V1Request): readonly NativeItem[] {
  const { signature } = call;
  const more = signature !== DEFAULT_SIGNATURE && { parameters: { signature_name: signature } };
  const rows =
    call.kind === 'rows'
      ? call.rows.map((row, at) => named(row, `instances[${at}]`))
      : rowsOfColumns(call.inputs);
  return rows.map((input_data) => ({ input_data, ...more }));
}

export function v2ToItems(request: V2Request): readonly NativeItem[] {
  const { parameters } = request;
  const more = Object.keys(parameters).length > 0 && { parameters };
  return rowsOf(columnsOf(request)).map((input_data) => ({ input_data, ...more }));
}

/** Results in the form of V1: rows for rows, columns for columns. */
export function itemsToV1(given: readonly unknown[], { kind }: V1Request): JsonObject {
  const results = given.map(valueWithNumbers);
  if (kind === 'rows') return { predictions: results };
  if (!results.every(isJsonObject)) return { outputs: results };
  const names = [...new Set(results.flatMap(Object.keys))];
  const columns = names.map(
    (name) => [name, results.map((row) => entryOf(row, name) ?? null)] as const,
  );
  return { outputs: Object.fromEntries(columns) };
}
