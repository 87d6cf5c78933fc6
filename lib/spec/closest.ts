/**
 * Typing errors between two words (optimal string alignment): insertions, deletions, replacements,
 * swaps.
 */
function distance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, index) => index)];
  const at = (i: number, j: number): number => rows[i]?.[j] ?? 0;
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= b.length; j += 1) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const plain = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + change);
      row.push(swapped ? Math.min(plain, at(i - 2, j - 2) + 1) : plain);
    }
  }
  return at(a.length, b.length);
}

/** Two errors in a long word, one in a short one; with more it is another word. */
const MAX_SLIPS = 2;
/** Longer keys are not typing errors, and the distance is quadratic. */
const MAX_WORD_CHARACTERS = 64;

const plain = (word: string): string => word.toLowerCase().replace(/[_-]/g, '');

/** Longer suggestions would be a list, and the error has the whole list already. */
const MAX_SUGGESTED = 3;

/** `_min_replicas` of `minReplicas`: each word begins behind a `_`. */
const words = (name: string): string =>
  `_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toLowerCase()}`.replace(/[-_.]+/g, '_');

/**
 * Names with a word that begins with the given one: `replicas` → `min_replicas`, `max_replicas`.
 */
function containing(word: string, known: readonly string[]): readonly string[] {
  const found = known.filter((name) => words(name).includes(words(word)));
  return word.length >= 3 && found.length <= MAX_SUGGESTED ? found : [];
}

/**
 * `did you mean min_replicas or max_replicas?`; undefined without a suggestion.
 * @param deeper names of other levels, for when none of this level is similar
 */
export function didYouMean(
  word: string,
  known: readonly string[],
  deeper: readonly string[] = [],
): string | undefined {
  const near = closest(word, known);
  const inside = [known, deeper].map((names) => containing(word, names));
  const meant = near === undefined ? inside.find(({ length }) => length > 0) : [near];
  return meant === undefined ? undefined : `did you mean ${meant.join(' or ')}?`;
}

/**
 * The known word that was probably meant: `maxReplica` finds `maxReplicas`, `replicas_max` finds
 * none.
 */
export function closest(word: string, known: readonly string[]): string | undefined {
  if (word.length > MAX_WORD_CHARACTERS) return undefined;
  const limit = Math.min(MAX_SLIPS, Math.floor(word.length / 3));
  const ranked = known
    .map((name) => ({ name, slips: distance(plain(word), plain(name), limit) }))
    .filter(({ slips }) => slips <= limit)
    .sort((a, b) => a.slips - b.slips);
  return ranked[0]?.name;
}
