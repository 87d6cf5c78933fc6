import type { Amount, Cost, Environment, ModelObservation, ModelSpec, Prices } from '../spec';
import { costOf, observedCost, totalCost } from '../spec';
import type { CostNow, PlanCost } from './schema';

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
    unknown: { before: [...old.unknown], after: [...next.unknown] },
  };
}

export const isSameCost = ({ before, after, unknown }: PlanCost): boolean =>
  before.min === after.min &&
  before.max === after.max &&
  unknown.before.join() === unknown.after.join();

/** 1,000 requests may cost less than a cent. */
const small = (amount: number): number => Math.round(amount * 1e6) / 1e6;

/** The cost of a model as it runs, by the prices of the plan; undefined without prices. */
export function costNow(
  spec: ModelSpec,
  environment: Environment,
  seen: ModelObservation,
): CostNow | undefined {
  if (!hasPrices(environment.prices)) return undefined;
  const { now, perThousand: each } = observedCost(spec, environment, seen);
  return {
    monthly: rounded(now.known),
    per_1000_requests: each === undefined ? null : { min: small(each.min), max: small(each.max) },
    currency: environment.prices.currency,
    unknown: [...now.unknown],
  };
}

/** Where prices come from: `cloud list prices, 2026-05-01`; undefined where that is not said. */
export function originOf({ source, date }: Prices): string | undefined {
  const parts = [source, date].filter((part) => part !== undefined);
  return parts.length === 0 ? undefined : parts.join(', ');
}
