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

/** A counter for each bucket: one comparison and two additions per observation, no hashing of labels. */
export function createHistogram({ name, buckets = [] }: Buckets): Histogram {
  const counts = Array.from({ length: buckets.length + 1 }, () => 0);
  const examples = new Map<number, Exemplar>();
  let sum = 0;

  const bucketLine = (labels: string, index: number, count: number, exemplars: boolean): string => {
    const bound = buckets[index] ?? '+Inf';
    const before = labels === '' ? '' : `${labels},`;
    const line = sample(`${name}_bucket`, `${before}le="${bound}"`, count);
    const example = exemplars ? examples.get(index) : undefined;
    if (example === undefined) return line;
    return `${line.slice(0, -1)} # {trace_id="${example.traceId}"} ${example.value}\n`;
  };
  return {
    observe: (value, traceId) => {
      let index = 0;
      while (index < buckets.length && value > (buckets[index] ?? 0)) index += 1;
      counts[index] = (counts[index] ?? 0) + 1;
      sum += value;
      // The trace of a slow request is what one looks for; only well-formed ids get in.
      if (traceId !== undefined && TRACE_ID.test(traceId)) examples.set(index, { traceId, value });
    },
    lines: (labels, exemplars = false) => {
      let total = 0;
      let text = '';
      for (const [index, count] of counts.entries()) {
        total += count;
        text += bucketLine(labels, index, total, exemplars);
      }
      return text + sample(`${name}_sum`, labels, sum) + sample(`${name}_count`, labels, total);
    },
  };
}
