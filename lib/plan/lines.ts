// The difference of two texts by lines.

/** Unchanged lines around a change. */
const CONTEXT = 2;
/**
 * Cells of the table of common lines; larger texts are shown as replaced. It takes some
 * milliseconds, and the service makes plans as well.
 */
const MAX_CELLS = 1_000_000;
/** Lines of a difference that are kept; a plan is read by people. */
const MAX_LINES = 400;
/** Longer lines are cut. */
const MAX_LINE = 300;

interface Line {
  readonly sign: ' ' | '-' | '+';
  readonly text: string;
}

const signed = (sign: Line['sign'], texts: readonly string[]): Line[] =>
  texts.map((text) => ({ sign, text }));

/** Lengths of the longest common subsequences of all suffixes, row by row. */
function commonLengths(before: readonly string[], after: readonly string[]): Uint32Array {
  const width = after.length + 1;
  const lengths = new Uint32Array((before.length + 1) * width);
  for (let i = before.length - 1; i >= 0; i -= 1) {
    for (let j = after.length - 1; j >= 0; j -= 1) {
      const at = i * width + j;
      lengths[at] =
        before[i] === after[j]
          ? (lengths[at + width + 1] ?? 0) + 1
          : Math.max(lengths[at + width] ?? 0, lengths[at + 1] ?? 0);
    }
  }
  return lengths;
}

function middleOf(before: readonly string[], after: readonly string[]): Line[] {
  if (before.length * after.length > MAX_CELLS) {
    return [...signed('-', before), ...signed('+', after)];
  }
  const width = after.length + 1;
  const lengths = commonLengths(before, after);
  const lines: Line[] = [];
  let [i, j] = [0, 0];
  while (i < before.length && j < after.length) {
    if (before[i] === after[j]) {
      lines.push({ sign: ' ', text: before[i] ?? '' });
      i += 1;
      j += 1;
    } else if ((lengths[(i + 1) * width + j] ?? 0) >= (lengths[i * width + j + 1] ?? 0)) {
      lines.push({ sign: '-', text: before[i] ?? '' });
      i += 1;
    } else {
      lines.push({ sign: '+', text: after[j] ?? '' });
      j += 1;
    }
  }
  return [...lines, ...signed('-', before.slice(i)), ...signed('+', after.slice(j))];
}

function sameAtStart(before: readonly string[], after: readonly string[]): number {
  let count = 0;
  while (count < before.length && count < after.length && before[count] === after[count])
    count += 1;
  return count;
}

function sameAtEnd(before: readonly string[], after: readonly string[], from: number): number {
  const most = Math.min(before.length, after.length) - from;
  let count = 0;
  while (count < most && before.at(-1 - count) === after.at(-1 - count)) count += 1;
  return count;
}

function cut(text: string): string {
  if (text.length <= MAX_LINE) return text;
  return `${text.slice(0, MAX_LINE)}… (${text.length} characters)`;
}

/** Changes with some lines around each; `@@` stands for lines that are left out. */
function hunks(lines: readonly Line[]): string[] {
  const isNear = lines.map(() => false);
  lines.forEach(({ sign }, index) => {
    if (sign === ' ') return;
    const from = Math.max(0, index - CONTEXT);
    isNear.fill(true, from, Math.min(lines.length, index + CONTEXT + 1));
  });
  return lines.flatMap(({ sign, text }, index) => {
    if (isNear[index] === true) return [`${sign}${cut(text)}`];
    return index === 0 || isNear[index - 1] === true ? ['@@'] : [];
  });
}

/**
 * Differences of two texts: lines that begin with `-` or `+`, lines around them that begin with a
 * blank, and `@@` for what is left out. Long differences are cut, with a count.
 */
export function lineChanges(before: string, after: string): string[] {
  const [old, next] = [before.split('\n'), after.split('\n')];
  const start = sameAtStart(old, next);
  const end = sameAtEnd(old, next, start);
  const middle = middleOf(old.slice(start, old.length - end), next.slice(start, next.length - end));
  const lines = hunks([
    ...signed(' ', old.slice(0, start)),
    ...middle,
    ...signed(' ', old.slice(old.length - end)),
  ]);
  if (lines.length <= MAX_LINES) return lines;
  return [...lines.slice(0, MAX_LINES), `@@ ${lines.length - MAX_LINES} more lines`];
}
