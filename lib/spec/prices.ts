import { z } from 'zod';

const amount = z.number().min(0);

const rates = {
  currency: z.string().length(3),
  cpuHour: amount.optional().describe('Price of one core.'),
  memoryGiBHour: amount.optional().describe('Price of one GiB of memory.'),
  gpuHour: z
    .record(z.string(), amount)
    .default({})
    .describe('GPU product or resource → price of one GPU.'),
  storageGiBHour: amount
    .optional()
    .describe('Price of one GiB of a PersistentVolumeClaim, for classes without their own.'),
  storageClasses: z
    .record(z.string(), amount)
    .optional()
    .describe('StorageClass → price of one GiB.'),
  spotFactor: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe('Price of preemptible nodes as a part of the full price, e.g. 0.3.'),
};

const day = z.iso.date('a date as YYYY-MM-DD; write the day the prices were read');
const origin = z
  .string()
  .trim()
  .min(1, 'where the prices come from; write a URL or the name of a contract')
  .max(500);

/** Prices in an environment. */
export const pricesSchema = z
  .strictObject({
    file: z
      .string()
      .min(1)
      .optional()
      .describe('File with prices, from the folder of the environments; fields beside it win.'),
    source: origin.optional().describe('Where the prices come from.'),
    date: day.optional().describe('The day the prices were read, as YYYY-MM-DD.'),
    ...rates,
    currency: rates.currency.default('USD').describe('Three letters, such as CNY.'),
  })
  .prefault({})
  .describe('Prices per hour, for plans.');

/** A file of prices: it says where they come from, and of which day they are. */
export const priceFileSchema = z.strictObject({
  source: origin.describe('Where the prices come from.'),
  date: day.describe('The day the prices were read, as YYYY-MM-DD.'),
  ...rates,
  currency: rates.currency.describe('Three letters, such as CNY.'),
});

/** Limits in the currency of the prices. */
export const budgetSchema = z
  .strictObject({
    monthly: amount.optional().describe('All models together, per month of 730 hours.'),
    perModel: amount.optional().describe('Each model, per month of 730 hours.'),
  })
  .describe('What models may cost, in the currency of `prices`.');

export type Prices = z.output<typeof pricesSchema>;
export type PriceFile = z.output<typeof priceFileSchema>;
