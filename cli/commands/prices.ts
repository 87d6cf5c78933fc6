import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { stringify } from 'yaml';
import { checked, priceFileSchema, quantityValue, wireOf } from '../../lib/spec';
import type { CommandContext } from '../command-context';
import { CommandError, EXIT } from '../exit';
import type { Imported, PricedNode } from '../prices/opencost';
import { importOpenCost } from '../prices/opencost';

interface Options {
  readonly date: string;
  readonly source?: string;
  readonly currency: string;
  readonly region?: string;
  readonly node?: string;
  readonly cpu?: string;
  readonly memory?: string;
  readonly out?: string;
}

const GIB = 2 ** 30;

function sizeOf(option: string, text: string | undefined): number {
  const value = quantityValue(text ?? '');
  if (value > 0) return value;
  const got = text === undefined ? 'is missing' : `got ${JSON.stringify(text)}`;
  throw new CommandError(
    `${option}: ${got}, must be a quantity of the node, such as 8 or 32Gi`,
    EXIT.usage,
  );
}

function nodeOf({ node, cpu, memory }: Options): PricedNode | undefined {
  if (node === undefined && cpu === undefined && memory === undefined) return undefined;
  if (node === undefined) {
    throw new CommandError('--cpu and --memory need --node, the node that they are of', EXIT.usage);
  }
  return { name: node, cores: sizeOf('--cpu', cpu), gib: sizeOf('--memory', memory) / GIB };
}

function imported(file: string, path: string, options: Options): Imported {
  const node = nodeOf(options);
  try {
    return importOpenCost(readFileSync(path, 'utf8'), { region: options.region, node });
  } catch (error) {
    throw new CommandError(`${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Prices of other tools as a file for `prices.file` of an environment. */
export function addPrices(program: Command, { io, format }: CommandContext): void {
  program
    .command('prices')
    .description('Prices for the cost of models.')
    .command('import')
    .description('Convert a CSV of custom prices of OpenCost to a file for `prices.file`.')
    .argument('<file>', 'CSV with 8 columns, as OpenCost reads it')
    .requiredOption('--date <day>', 'the day of the prices, as YYYY-MM-DD')
    .option('--source <text>', 'where they come from (default: the name of the file)')
    .option('--currency <code>', 'three letters', 'USD')
    .option('--region <name>', 'only rows of this region, and of none')
    .option('--node <name>', 'InstanceID or InstanceType of the node that models run on')
    .option('--cpu <cores>', 'cores of that node')
    .option('--memory <quantity>', 'memory of that node, such as 32Gi')
    .option('--out <file>', 'where it goes (default: stdout)')
    .addHelpText(
      'after',
      `
Example:
  ai-model-service prices import opencost.csv --date 2026-05-01 --node m5.2xlarge --cpu 8 --memory 32Gi --out prices/eu.yaml`,
    )
    .action((file: string, options: Options) => {
      const { date, source = file, currency, out } = options;
      const { prices, notes } = imported(file, resolve(io.cwd, file), options);
      const value = checked(priceFileSchema, { source, date, currency, ...prices });
      const wire = wireOf(priceFileSchema, value);
      for (const note of notes) io.err(`${file}: ${note}\n`);
      const text = format() === 'json' ? `${JSON.stringify(wire)}\n` : stringify(wire);
      if (out === undefined) io.out(text);
      else writeFileSync(resolve(io.cwd, out), text);
    });
}
