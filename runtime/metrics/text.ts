import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Family } from './families';
import type { TextType } from './print';
import { OPENMETRICS_TYPE } from './print';

/**
 * How much of a scrape is made in one go, well below what is promised (5 ms): so many chunks, each
 * the samples of one family for one model, or so many characters.
 */
export const SLICE = { chunks: 100, characters: 32_768 } as const;

/** HELP and TYPE. OpenMetrics names a counter without `_total`; its samples carry it. */
export function headOf({ name, type, help }: Family, format: TextType): string {
  const short = format === OPENMETRICS_TYPE && type === 'counter';
  const shown = short ? name.replace(/_total$/, '') : name;
  return `# HELP ${shown} ${help}\n# TYPE ${shown} ${type}\n`;
}

/**
 * The chunks in slices: requests go on between two of them. `turn` lets the event loop go on; a
 * reader that is slow holds only itself up.
 */
export async function* inSlices(
  chunks: Iterable<string>,
  turn: () => Promise<unknown> = () => nextTurn(),
): AsyncGenerator<string> {
  let text = '';
  let count = 0;
  for (const chunk of chunks) {
    text += chunk;
    count += 1;
    if (count < SLICE.chunks && text.length < SLICE.characters) continue;
    if (text !== '') yield text;
    text = '';
    count = 0;
    await turn();
  }
  if (text !== '') yield text;
}
