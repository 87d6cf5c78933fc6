import type { PriceFile } from '../../lib/spec';
import { csvRows } from './csv';

// OpenCost's CSV of custom prices (github.com/opencost/opencost, configs/pricing_schema.csv): rows of
// nodes, GPUs and volumes, each with a price per hour. Columns have fixed places.

const COLUMNS = [
  'EndTimestamp',
  'InstanceID',
  'Region',
  'AssetClass',
  'InstanceIDField',
  'InstanceType',
  'MarketPriceHourly',
  'Version',
] as const;

interface PriceRow {
  readonly line: number;
  readonly id: string;
  readonly region: string;
  readonly asset: string;
  readonly idField: string;
  readonly type: string;
  readonly price: number;
}

function rowOf(line: number, cells: readonly string[]): PriceRow {
  if (cells.length !== COLUMNS.length) {
    throw new Error(`line ${line}: has ${cells.length} columns, must have 8: ${COLUMNS.join(',')}`);
  }
  const [, id = '', region = '', asset = '', idField = '', type = '', market = ''] = cells;
  const price = market === '' ? Number.NaN : Number(market);
  if (!Number.isFinite(price) || price < 0) {
    const got = JSON.stringify(market);
    throw new Error(`line ${line}: MarketPriceHourly: got ${got}, must be a number from 0`);
  }
  return { line, id, region, asset, idField, type, price };
}

/** OpenCost takes an asset of another class for a node. */
const isNode = ({ asset }: PriceRow): boolean => asset !== 'gpu' && asset !== 'pv';

const isSame = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

/** The node whose price is that of CPU and memory. */
export interface PricedNode {
  /** Its InstanceID or InstanceType. */
  readonly name: string;
  readonly cores: number;
  readonly gib: number;
}

export interface ImportOptions {
  readonly region?: string | undefined;
  readonly node?: PricedNode | undefined;
}

export interface Imported {
  readonly prices: Pick<PriceFile, 'cpuHour' | 'memoryGiBHour' | 'gpuHour' | 'storageClasses'>;
  /** What was left out, and why. */
  readonly notes: readonly string[];
}

/** Rows of one region, and those of none. @throws Error when there are several to choose from */
function inRegion(rows: readonly PriceRow[], region: string | undefined): readonly PriceRow[] {
  const regions = [...new Set(rows.map((row) => row.region).filter((name) => name !== ''))];
  if (region === undefined) {
    if (regions.length <= 1) return rows;
    throw new Error(`has the regions ${regions.join(', ')}; choose one with --region`);
  }
  if (!regions.some((name) => isSame(name, region))) {
    const known = regions.length === 0 ? 'names no region' : `has ${regions.join(', ')}`;
    throw new Error(`--region: got ${region}, but the file ${known}`);
  }
  return rows.filter((row) => row.region === '' || isSame(row.region, region));
}

/** OpenCost's default prices of a core and of a GiB: by their ratio it splits a node's price. */
const CORE_PER_GIB = 0.031611 / 0.004237;

/** Digits of a price: a millionth part of it. */
const DIGITS = 9;

const rounded = (price: number): number => Number(price.toFixed(DIGITS));

/** GPUs are priced by rows of their own, so the node's price is that of cores and memory. */
function nodePrices(rows: readonly PriceRow[], { name, cores, gib }: PricedNode) {
  const found = rows.filter(
    (row) => isNode(row) && (isSame(row.id, name) || isSame(row.type, name)),
  );
  const prices = [...new Set(found.map(({ price }) => price))];
  const [price] = prices;
  if (price === undefined) {
    const names = [
      ...new Set(rows.filter(isNode).map(({ id, type }) => (type === '' ? id : type))),
    ];
    throw new Error(`--node: got ${name}, must be one of ${names.slice(0, 20).join(', ')}`);
  }
  if (prices.length > 1) {
    throw new Error(`--node: ${name} has the prices ${prices.join(', ')}; name an InstanceID`);
  }
  const memory = price / (cores * CORE_PER_GIB + gib);
  return { cpuHour: rounded(memory * CORE_PER_GIB), memoryGiBHour: rounded(memory) };
}

const tableOf = (rows: readonly PriceRow[]): Record<string, number> =>
  Object.fromEntries(rows.map(({ id, price }) => [id, price]));

const NO_NODE =
  'prices of nodes were left out: name the node that models run on, with --node, --cpu and --memory';

/**
 * Prices of an OpenCost CSV.
 * @throws Error with the line, or with what to choose
 */
export function importOpenCost(text: string, { region, node }: ImportOptions): Imported {
  const all = csvRows(text.replace(/^\uFEFF/, ''))
    .filter(({ cells }) => cells[1] !== 'InstanceID')
    .map(({ line, cells }) => rowOf(line, cells));
  if (all.length === 0) throw new Error('has no prices');
  const rows = inRegion(all, region);
  const claims = rows.filter(({ asset }) => asset === 'pv');
  const classes = claims.filter(({ idField }) => idField === 'spec.storageClassName');
  const others = claims.length - classes.length;
  return {
    prices: {
      ...(node !== undefined && nodePrices(rows, node)),
      gpuHour: tableOf(rows.filter(({ asset }) => asset === 'gpu')),
      ...(classes.length > 0 && { storageClasses: tableOf(classes) }),
    },
    notes: [
      ...(node === undefined && rows.some(isNode) ? [NO_NODE] : []),
      ...(others === 0 ? [] : [`prices of single volumes were left out (${others})`]),
    ],
  };
}
