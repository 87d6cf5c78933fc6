import type { Result, Results } from './measure';

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

const rateOf = ({ requests, seconds }: Result): number => requests / seconds;

/** A figure with failures is shown as failed. */
function failedText(results: readonly Result[]): string {
  const failures = results.reduce((sum, one) => sum + one.failures, 0);
  const requests = results.reduce((sum, one) => sum + one.requests, failures);
  return failures === 0 ? '' : `   ${((100 * failures) / requests).toFixed(1)} % failed`;
}

/**
 * The ratio to another target, run by run: both see the machine as it is in that run.
 * @returns the median over the runs
 */
function ratio(
  own: readonly Result[],
  other: readonly Result[],
  of: (one: Result) => number,
): number {
  return median(own.map((one, run) => of(one) / of(other[run] ?? one)));
}

function row(name: string, results: readonly Result[], yardstick: readonly Result[]): string {
  const cpus = results.map(({ cpu }) => cpu);
  const cell = (value: number, digits: number): string => value.toFixed(digits).padStart(9);
  const of = (read: (one: Result) => number): number => median(results.map(read));
  const beside = (read: (one: Result) => number): number =>
    yardstick.length === 0 ? NaN : ratio(results, yardstick, read);
  return [
    name.padEnd(30),
    cell(of(rateOf), 0),
    cell(median(cpus), 1),
    cell(Math.max(...cpus) - Math.min(...cpus), 1),
    cell(
      beside(({ cpu }) => cpu),
      2,
    ),
    cell(beside(rateOf), 2),
    cell(
      of(({ p50 }) => p50),
      2,
    ),
    cell(
      of(({ p99 }) => p99),
      2,
    ),
    cell(
      of(({ megabytes }) => megabytes),
      0,
    ),
    failedText(results),
  ].join(' ');
}

const COLUMNS = ['req/s', 'CPU µs', 'spread', '× CPU', '× rate', 'p50 ms', 'p99 ms', 'MB'];

/** @param yardstick name of the target that the ratios are to */
export function printTable(title: string, results: Results, yardstick: string): void {
  const [, base = []] = results.find(([{ name }]) => name === yardstick) ?? [];
  console.log(`\n${title.padEnd(30)} ${COLUMNS.map((one) => one.padStart(9)).join(' ')}`);
  for (const [{ name }, all] of results) console.log(row(name, all, base));
}
