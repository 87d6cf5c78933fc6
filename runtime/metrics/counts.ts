import { sample } from '../shared/sample';
import { labelText } from './print';

/** Counters of one metric that differ in one label. */
export interface Counts {
  readonly add: (value: string, by?: number) => void;
  readonly lines: (name: string, labels: string) => string;
}

export function createCounts(label: string): Counts {
  const counts = new Map<string, number>();
  return {
    add: (value, by = 1) => void counts.set(value, (counts.get(value) ?? 0) + by),
    lines: (name, labels) => {
      let text = '';
      for (const [value, count] of counts) {
        text += sample(name, `${labels},${labelText({ [label]: value })}`, count);
      }
      return text;
    },
  };
}
