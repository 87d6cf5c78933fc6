import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Family } from './families';
import type { TextType } from './print';
import { OPENMETRICS_TYPE } from './print';

/** How long a scrape may hold the event loop in one go; well below what is promised (5 ms). */
const SLICE_MS = 1.5;

/** HELP and TYPE. OpenMetrics names a counter without `_total`; its samples carry it. */
export function headOf({ name, type, help }: Family, format: TextType): string {
  const short = format === OPENMETRICS_TYPE && type === 'counter';
  const shown = short ? name.replace(/_total$/, '') : name;
  return `# HELP ${shown} ${help}\n# TYPE ${shown} ${type}\n`;
}

/** Joins the chunks, a slice at a time: requests go on between slices. */
export async function joinInSlices(chunks: Iterable<string>): Promise<string> {
  let began = performance.now();
  let text = '';
  for (const chunk of chunks) {
    text += chunk;
    if (performance.now() - began < SLICE_MS) continue;
    await nextTurn();
    began = performance.now();
  }
  return text;
}
