import { sample } from './sample';

/** The trace of one observation of a bucket; shown in OpenMetrics only. */
interface Exemplar {
  readonly traceId: string;
  readonly value: number;
}

/** A family with the upper bounds of its buckets, without the last one, +Inf. */
interface Buckets {
  readonly name: string;
  readonly buckets?: readonly number[];
}

export interface Histogram {
  readonly observe: (value: number, traceId?: string) => void;
  /** All its samples; buckets are cumulative. */
  readonly lines: (labels: string, exemplars?: boolean) => string;
}

const TRACE_ID = /^[0-9a-f]{32}$/;

/**
 * Most of a thousand models have no traffic at a moment: nothing is allocated before the first
 * value.
 */
class Bucketed implements Histogram {
  private counts: number[] | undefined;
  private examples: Map<number, Exemplar> | undefined;
  private sum = 0;

  constructor(
    private readonly name: string,
    private readonly buckets: readonly number[],
  ) {}

  private fresh(): number[] {
    return Array.from({ length: this.buckets.length + 1 }, () => 0);
  }

  observe(value: number, traceId?: string): void {
    const { buckets } = this;
    let index = 0;
    while (index < buckets.length && value > (buckets[index] ?? 0)) index += 1;
    this.counts ??= this.fresh();
    this.counts[index] = (this.counts[index] ?? 0) + 1;
    this.sum += value;
    // Links a slow observation to its trace; only well-formed ids are accepted.
    if (traceId === undefined || !TRACE_ID.test(traceId)) return;
    this.examples ??= new Map();
    this.examples.set(index, { traceId, value });
  }

  lines(labels: string, exemplars = false): string {
    const { name, sum } = this;
    let total = 0;
    let text = '';
    for (const [index, count] of (this.counts ?? this.fresh()).entries()) {
      total += count;
      text += this.bucketLine(labels, index, total, exemplars);
    }
    return text + sample(`${name}_sum`, labels, sum) + sample(`${name}_count`, labels, total);
  }

  private bucketLine(labels: string, index: number, count: number, exemplars: boolean): string {
    const bound = this.buckets[index] ?? '+Inf';
    const before = labels === '' ? '' : `${labels},`;
    const line = sample(`${this.name}_bucket`, `${before}le="${bound}"`, count);
    const example = exemplars ? this.examples?.get(index) : undefined;
    if (example === undefined) return line;
    return `${line.slice(0, -1)} # {trace_id="${example.traceId}"} ${example.value}\n`;
  }
}

/** A counter for each bucket: one comparison and two additions per observation, no hashing of labels. */
export const createHistogram = ({ name, buckets = [] }: Buckets): Histogram =>
  new Bucketed(name, buckets);
