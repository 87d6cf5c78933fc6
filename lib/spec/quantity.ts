import { z } from 'zod';
import { entryOf } from './entry';

/** Multipliers of Kubernetes quantity suffixes (apimachinery `resource.Quantity`). */
const SUFFIX: Readonly<Record<string, number>> = {
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

const QUANTITY = /^([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$/;

/**
 * The number of a quantity: `500m` → 0.5, `1Gi` → 1073741824. NaN when the text is not a quantity.
 */
export function quantityValue(quantity: string): number {
  const match = QUANTITY.exec(quantity);
  if (match === null) return Number.NaN;
  return Number(match[1]) * (entryOf(SUFFIX, match[2] ?? '') ?? Number.NaN);
}

/** Slowest download that we plan with: 50 MB/s, the rate of one stream from object storage. */
const BYTES_PER_SECOND = 50_000_000;

/** Seconds that the download of that many bytes may take. */
export function downloadSeconds(size: string): number {
  return Math.ceil(quantityValue(size) / BYTES_PER_SECOND);
}

/** Cores: `2`, `0.5` or `500m`; or a number. */
export const cpuSchema = z
  .union([z.number().transform(String), z.string()], {
    error: 'a CPU quantity such as "2", "0.5" or "500m"; write one',
  })
  .refine((text) => /^[0-9]+(\.[0-9]{1,3})?$|^[0-9]+m$/.test(text) && quantityValue(text) > 0, {
    error: 'a CPU quantity above zero such as "2", "0.5" or "500m"; write one',
  })
  .describe('CPU cores as a Kubernetes quantity: "2", "0.5", "500m".');

/** Bytes: `512Mi`, `8Gi`, `2G`. */
export const memorySchema = z
  .string({ error: 'a memory quantity such as "512Mi" or "8Gi"; write one with its unit' })
  .refine(
    (text) => /^[0-9]+(\.[0-9]+)?(k|M|G|T|Ki|Mi|Gi|Ti)$/.test(text) && quantityValue(text) > 0,
    {
      error: 'a memory quantity such as "512Mi" or "8Gi"; write one with its unit',
    },
  )
  .describe('Bytes as a Kubernetes quantity with its unit: "512Mi", "8Gi".');
