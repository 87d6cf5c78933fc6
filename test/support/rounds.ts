/**
 * How many rounds a randomized test runs: those it names, times `TEST_ROUNDS`. The default is for each
 * change; `TEST_ROUNDS=20 npm test` searches longer.
 */
export function rounds(usual: number): number {
  return Math.ceil(usual * Number(process.env['TEST_ROUNDS'] ?? 1));
}
