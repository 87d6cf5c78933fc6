import { Command, CommanderError, Option } from 'commander';
import { addAudit } from './commands/audit';
import { addDashboards } from './commands/dashboards';
import { addDev } from './commands/dev';
import { addFetch } from './commands/fetch';
import { addInit } from './commands/init';
import { addKeys } from './commands/keys';
import { addPlan } from './commands/plan';
import { addPrices } from './commands/prices';
import { addRules } from './commands/rules';
import { addServe } from './commands/serve';
import { addServeOnnx } from './commands/serve-onnx';
import { addSynth } from './commands/synth';
import { addValidate } from './commands/validate';
import type { CommandContext } from './command-context';
import type { ExitCode } from './exit';
import { EXIT } from './exit';
import type { Io } from './io';
import type { OutputFormat } from './report';
import { reportFailure } from './report';
import { VERSION } from './version';

const EXAMPLES = `
Examples:
  ai-model-service init my-models        a small project that synthesizes at once
  ai-model-service validate models       every fault of every definition, in one answer
  ai-model-service synth models          manifests to dist/
  ai-model-service dev models            the models of a folder, answering on 127.0.0.1:8080
  ai-model-service --config config.yaml  the service

Exit codes: 0 fine, 1 faults or findings, 2 wrong usage.`;

function buildProgram(context: CommandContext): Command {
  const { io } = context;
  const program = new Command('ai-model-service')
    .description('Run AI models on Kubernetes from TypeScript.')
    .version(VERSION)
    .addHelpText('after', EXAMPLES)
    .configureOutput({ writeOut: io.out, writeErr: io.err })
    .exitOverride();
  addServe(program, context);
  for (const add of [
    addDev,
    addSynth,
    addValidate,
    addPlan,
    addPrices,
    addRules,
    addDashboards,
    addInit,
    addServeOnnx,
    addFetch,
    addKeys,
    addAudit,
  ]) {
    add(program, context);
  }
  const below = program.commands.flatMap(({ commands }) => commands);
  for (const command of [program, ...program.commands, ...below]) {
    command.addOption(
      new Option('--output <format>', 'how results are written').choices(['text', 'json']),
    );
  }
  return program;
}

/** The option may precede or follow the command. */
function formatFrom(args: readonly string[]): OutputFormat {
  const index = args.indexOf('--output');
  const given = index < 0 ? args.find((one) => one.startsWith('--output=')) : args[index + 1];
  return given === 'json' || given === '--output=json' ? 'json' : 'text';
}

/** Runs one command; returns the exit code, never throws. */
export async function runCommand(args: readonly string[], io: Io): Promise<ExitCode> {
  let code: ExitCode = EXIT.ok;
  const format = formatFrom(args);
  const finish = (given: ExitCode): void => {
    code = given;
  };
  const program = buildProgram({ io, format: () => format, finish });
  try {
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    return reportFailure(error, format, io);
  }
}
