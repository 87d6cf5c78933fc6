import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { ruleGroups } from '../../lib/monitoring';
import { yamlOf } from '../../lib/objects/yaml';
import type { CommandContext } from '../command-context';
import { counted } from '../report';
import { loadProject } from './project';
import { wholeNumber } from './serve-onnx';

interface Options {
  readonly env?: string;
  readonly out?: string;
  readonly routers: number;
}

const MAX_ROUTERS = 1000;

/** Alerts and recording rules as a file, for a Prometheus without operator. */
export function addRules(program: Command, { io, format }: CommandContext): void {
  program
    .command('rules')
    .description('Write the alerts and recording rules of all definitions for Prometheus.')
    .argument('[folder]', 'definitions', 'models')
    .option('--out <file>', 'where they go (default: stdout)')
    .option('--env <name>', 'only this environment of environments.ts')
    .option(
      '--routers <count>',
      'minimum number of routers; fewer raise an alert',
      wholeNumber(1, MAX_ROUTERS),
      1,
    )
    .addHelpText(
      'after',
      '\nExample:\n  ai-model-service rules models --out rules.yaml --routers 2',
    )
    .action(async (folder: string, { out, routers, ...options }: Options) => {
      const { definitions, environments } = await loadProject(folder, options, io);
      const specs = definitions.map(({ spec }) => spec);
      const all = environments.all.flatMap((one) => ruleGroups(specs, one, routers));
      // Environments may share their routers; group names are unique in a file.
      const groups = [...new Map(all.map((group) => [group.name, group])).values()];
      const file = { groups };
      const text = format() === 'json' ? `${JSON.stringify(file)}\n` : yamlOf([file]);
      if (out === undefined) return io.out(text);
      writeFileSync(resolve(io.cwd, out), text);
      const rules = groups.reduce((sum, one) => sum + one.rules.length, 0);
      io.err(`${out}: ${counted(rules, 'rule')} in ${counted(groups.length, 'group')}\n`);
    });
}
