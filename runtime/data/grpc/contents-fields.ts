import type { V2Datatype } from '../transcode/datatypes';

/** Fields of `InferTensorContents` by datatype. */
export interface ContentsField {
  /** Number of the field. */
  readonly field: number;
  readonly contents: string;
}

const FIELDS: readonly (readonly [field: number, contents: string, ...names: string[]])[] = [
  [1, 'bool_contents', 'BOOL'],
  [2, 'int_contents', 'INT8', 'INT16', 'INT32'],
  [3, 'int64_contents', 'INT64'],
  [4, 'uint_contents', 'UINT8', 'UINT16', 'UINT32'],
  [5, 'uint64_contents', 'UINT64'],
  [6, 'fp32_contents', 'FP32'],
  [7, 'fp64_contents', 'FP64'],
  [8, 'bytes_contents', 'BYTES'],
];

const CONTENTS_FIELDS: ReadonlyMap<string, ContentsField> = new Map(
  FIELDS.flatMap(([field, contents, ...names]) =>
    names.map((name) => [name, { field, contents }] as const),
  ),
);

/** Names of the fields, by number. */
export const CONTENTS_NAMES: ReadonlyMap<number, string> = new Map(
  FIELDS.map(([field, contents]) => [field, contents]),
);

/** Undefined for halves, which travel raw only. */
export const contentsFieldOf = ({ name }: V2Datatype): ContentsField | undefined =>
  CONTENTS_FIELDS.get(name);
