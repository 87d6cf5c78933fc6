import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Finding } from '../../lib/spec';
import { DefinitionError } from '../../lib/spec';
import type { Definition } from '../../lib/synth';
import { placedFaults } from '../../lib/synth/errors';
import { CommandError, EXIT } from '../exit';
import type { CommandContext } from '../command-context';
import { counted, findingLines } from '../report';
import { noDefinitions, outFolder, previousOf, shownPath, synthLibrary, today } from './project';

interface Options {
  readonly strict?: boolean;
  readonly env?: string;
}

async function load(paths: readonly string[], cwd: string): Promise<readonly Definition[]> {
  const { discover, loadDefinition } = synthLibrary();
  const errors: DefinitionError[] = [];
  const found: Definition[] = [];
  for (const given of paths) {
    const path = resolve(cwd, given);
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) throw new CommandError(`${given}: no such file or folder`);
    const shown = shownPath(path, cwd) || '.';
    try {
      if (stat.isDirectory()) found.push(...(await discover(shown)));
      else found.push(await loadDefinition(shown));
    } catch (error) {
      if (!(error instanceof DefinitionError)) throw error;
      errors.push(error);
    }
  }
  if (errors.length === 0) return found;
  throw new CommandError(
    errors.map(({ message }) => message).join('\n'),
    EXIT.findings,
    errors.flatMap(placedFaults),
  );
}

export function addValidate(program: Command, { io, format, finish }: CommandContext): void {
  program
    .command('validate')
    .description('Check definitions and what they become; write nothing.')
    .argument('[paths...]', 'folders or files', ['models'])
    .option('--strict', 'treat warnings as errors')
    .option('--env <name>', 'only this environment')
    .addHelpText('after', '\nExample:\n  ai-model-service validate models/triage.ts --strict')
    .action(async (paths: string[], { strict, env }: Options) => {
      const { findEnvironment, loadEnvironments, synthesize } = synthLibrary();
      const definitions = await load(paths, io.cwd);
      if (definitions.length === 0 && strict === true) {
        throw new CommandError(
          `${noDefinitions(paths.join(', '))}, so there is nothing to check; name the folder of ` +
            'your definitions, or leave --strict out',
        );
      }
      const all = await loadEnvironments(io.cwd);
      const environments = env === undefined ? all : findEnvironment(all, env);
      // Objects are rendered, too: some faults show only in them.
      const previous = previousOf(outFolder(undefined, io), io);
      const { findings } = synthesize(definitions, environments, { today: today(io), previous });
      report(paths, definitions, findings);
      if (strict !== true || findings.length === 0) return;
      finish(EXIT.findings);
      const fail = findings.length === 1 ? 'fails' : 'fail';
      io.err(`${counted(findings.length, 'warning')} ${fail} the check because of --strict\n`);
    });

  function report(
    paths: readonly string[],
    definitions: readonly Definition[],
    findings: readonly Finding[],
  ): void {
    if (format() === 'json') {
      const valid = definitions.map(({ file, spec }) => ({ file, model_id: spec.id }));
      io.out(`${JSON.stringify({ valid, findings })}\n`);
      return;
    }
    for (const line of findingLines(findings)) io.out(`${line}\n`);
    if (definitions.length === 0) io.err(`${noDefinitions(paths.join(', '))}\n`);
    const are = definitions.length === 1 ? 'is' : 'are';
    const right = `${counted(definitions.length, 'definition')} ${are} right`;
    io.out(`${right}, ${counted(findings.length, 'warning')}\n`);
  }
}
