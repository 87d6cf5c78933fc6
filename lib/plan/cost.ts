import type { Amount, Cost, Environment, ModelSpec, Prices } from '../spec';
import { costOf, totalCost } from '../spec';
import type { PlanCost } from './schema';

// What a change costs. Amounts are rounded to cents: prices are not more exact.

/** One side: its definitions, in the environment whose prices hold. */
export interface CostSide {
  readonly specs: readonly ModelSpec[];
  readonly environment: Environment;
}

function hasPrices({ file, cpuHour, memoryGiBHour, storageGiBHour, gpuHour }: Prices): boolean {
  const rates = [cpuHour, memoryGiBHour, storageGiBHour, ...Object.values(gpuHour)];
  return file !== undefined || rates.some((rate) => rate !== undefined);
}

const cents = (amount: number): number => Math.round(amount * 100) / 100;

const rounded = ({ min, max }: Amount): Amount => ({ min: cents(min), max: cents(max) });

function costIn(side: CostSide | undefined, prices: Prices): Cost {
  if (side === undefined) return totalCost([]);
  const environment = { ...side.environment, prices };
  return totalCost(side.specs.map((spec) => costOf(spec, environment)));
}

/**
 * The cost of both sides by the same prices, since another table of prices is not a change of
 * definitions; undefined without prices.
 */
export function costChange(
  before: CostSide | undefined,
  after: CostSide | undefined,
  prices: Prices | undefined,
): PlanCost | undefined {
  if (prices === undefined || !hasPrices(prices)) return undefined;
  const [old, next] = [costIn(before, prices), costIn(after, prices)];
  return {
    before: rounded(old.known),
    after: rounded(next.known),
    currency: prices.currency,
    unknown: [...new Set([...old.unknown, ...next.unknown])],
  };
}

export const isSameCost = ({ before, after }: PlanCost): boolean =>
  before.min === after.min && before.max === after.max;

/** Where prices come from: `cloud list prices, 2026-05-01`; undefined where that is not said. */
export function originOf({ source, date }: Prices): string | undefined {
  const parts = [source, date].filter((part) => part !== undefined);
  return parts.length === 0 ? undefined : parts.join(', ');
}
