import type { Tensor } from './tensor';

/** Lists of element texts, nested by `dims`; `[]` is the bare element. */
function nest(
  texts: readonly string[],
  dims: readonly number[],
  level: number,
  at: number,
): string {
  if (level === dims.length) return texts[at] ?? 'null';
  const count = dims[level] ?? 0;
  if (level === dims.length - 1) return `[${texts.slice(at, at + count).join(',')}]`;
  let size = 1;
  for (let i = level + 1; i < dims.length; i += 1) size *= dims[i] ?? 1;
  const parts: string[] = [];
  for (let i = 0; i < count; i += 1) parts.push(nest(texts, dims, level + 1, at + i * size));
  return `[${parts.join(',')}]`;
}

/** Texts of elements as nested JSON lists. */
export const nestedText = (texts: readonly string[], dims: readonly number[]): string =>
  nest(texts, dims, 0, 0);

/** A tensor without a batch of one. */
export const withoutBatch = ({ dims }: Tensor): readonly number[] =>
  dims[0] === 1 ? dims.slice(1) : dims;
