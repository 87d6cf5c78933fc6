import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Synthesis } from '../../lib/synth';
import { EXIT } from '../exit';
import type { CommandContext } from '../command-context';
import { counted, findingLines } from '../report';
import { ALLOW_EMPTY, loadProject, outFolder, previousOf, synthLibrary, today } from './project';

interface Options {
  readonly out?: string;
  readonly env?: string;
  readonly check?: boolean;
  readonly strict?: boolean;
  readonly allowEmpty?: boolean;
}

const HOW: Readonly<Record<string, string>> = {
  missing: 'is missing',
  changed: 'is out of date',
  stale: 'no longer belongs to a definition',
};

export function addSynth(program: Command, context: CommandContext): void {
  const { io, format } = context;
  program
    .command('synth')
    .description('Write the manifests of all definitions of a folder.')
    .argument('[folder]', 'definitions', 'models')
    .option('--out <folder>', 'where manifests go (default: $CDK8S_OUTDIR or dist)')
    .option('--env <name>', 'only this environment of environments.ts')
    .option('--check', 'write nothing; fail when a manifest is out of date')
    .option('--strict', 'treat warnings as errors')
    .option(...ALLOW_EMPTY)
    .addHelpText('after', '\nExample:\n  ai-model-service synth models --env production --check')
    .action(async (folder: string, options: Options) => {
      const { synthesize } = synthLibrary();
      const { definitions, environments } = await loadProject(folder, options, io);
      const { strict = false } = options;
      const name = outFolder(options.out, io);
      const synthesis = synthesize(definitions, environments, {
        today: today(io),
        previous: previousOf(name, io),
        strict,
      });
      const lines = format() === 'text' ? findingLines(synthesis.findings) : [];
      for (const line of lines) io.err(`${line}\n`);
      if (options.check === true) check(context, { name, folder }, synthesis);
      else write(context, name, synthesis);
    });
}

interface Places {
  /** The output folder, for messages. */
  readonly name: string;
  readonly folder: string;
}

function check(
  { io, format, finish }: CommandContext,
  { name, folder }: Places,
  { files, findings }: Synthesis,
): void {
  const { checkManifests, otherLineEndings } = synthLibrary();
  const out = resolve(io.cwd, name);
  const differences = checkManifests(out, files);
  const lineEndings = otherLineEndings(out, files);
  if (differences.length > 0) finish(EXIT.findings);
  if (format() === 'json') {
    io.out(`${JSON.stringify({ differences, lineEndings, findings })}\n`);
    return;
  }
  for (const { file, kind } of differences) io.out(`${name}/${file} ${HOW[kind]}\n`);
  if (lineEndings.length > 0) io.err(lineEndingsText(lineEndings, name));
  if (differences.length > 0) io.err(`run: ai-model-service synth ${folder}\n`);
  else {
    const are = files.size === 1 ? 'is' : 'are';
    io.err(`${counted(files.size, 'manifest')} in ${name}/ ${are} up to date\n`);
  }
}

function lineEndingsText(files: readonly string[], name: string): string {
  const [first = ''] = files;
  const more = files.length === 1 ? '' : ` and ${files.length - 1} more`;
  return (
    `${name}/${first}${more}: lines end with CR LF, the content is right; ` +
    `write "${name}/** text eol=lf" into .gitattributes to keep them as they are\n`
  );
}

function write({ io, format }: CommandContext, name: string, { files, findings }: Synthesis): void {
  const { writeManifests } = synthLibrary();
  const { written, removed, unchanged } = writeManifests(resolve(io.cwd, name), files);
  if (format() === 'json') {
    io.out(`${JSON.stringify({ written, removed, unchanged, findings })}\n`);
    return;
  }
  for (const file of written) io.out(`${name}/${file}\n`);
  for (const file of removed) io.out(`${name}/${file} removed\n`);
  const same = unchanged.length;
  io.err(`${written.length} written, ${same} unchanged, ${removed.length} removed\n`);
}
