import { sample } from '../shared/sample';
import { labelText } from './print';

/** Counters of one metric that differ in one label. */
export interface Counts {
  readonly add: (value: string, by?: number) => void;
  readonly lines: (name: string, labels: string) => string;
}

class ByLabel implements Counts {
  private counts: Map<string, number> | undefined;

  constructor(private readonly label: string) {}

  add(value: string, by = 1): void {
    this.counts ??= new Map();
    this.counts.set(value, (this.counts.get(value) ?? 0) + by);
  }

  lines(name: string, labels: string): string {
    let text = '';
    for (const [value, count] of this.counts ?? []) {
      text += sample(name, `${labels},${labelText({ [this.label]: value })}`, count);
    }
    return text;
  }
}

export const createCounts = (label: string): Counts => new ByLabel(label);
