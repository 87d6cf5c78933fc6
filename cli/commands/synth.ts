import { resolve } from 'node:path';
import type { Command } from 'commander';
import { EXIT } from '../exit';
import type { Context } from '../program';
import { findingLine } from '../report';
import { loadProject, outFolder, previousOf, synthLibrary, today } from './project';

interface Options {
  readonly out?: string;
  readonly env?: string;
  readonly check?: boolean;
  readonly strict?: boolean;
}

const HOW: Readonly<Record<string, string>> = {
  missing: 'is missing',
  changed: 'is not what the definitions give',
  stale: 'belongs to no definition any more',
};

export function addSynth(program: Command, { io, format, finish }: Context): void {
  program
    .command('synth')
    .description('Write the manifests of all definitions of a folder.')
    .argument('[folder]', 'definitions', 'models')
    .option('--out <folder>', 'where manifests go (default: $CDK8S_OUTDIR or dist)')
    .option('--env <name>', 'only this environment of environments.ts')
    .option('--check', 'write nothing; fail when the folder is not what the definitions give')
    .option('--strict', 'warnings stop as well')
    .addHelpText('after', '\nExample:\n  ai-model-service synth models --env production --check')
    .action(async (folder: string, options: Options) => {
      const { checkManifests, synthesize, writeManifests } = synthLibrary();
      const { definitions, environments } = await loadProject(folder, options.env, io);
      const { strict } = options;
      const name = outFolder(options.out, io);
      const { files, findings } = synthesize(definitions, environments, {
        today: today(io),
        previous: previousOf(name, io),
        ...(strict !== undefined && { strict }),
      });
      const out = resolve(io.cwd, name);
      if (format() === 'text') for (const one of findings) io.err(`${findingLine(one)}\n`);
      if (options.check === true) {
        const differences = checkManifests(out, files);
        if (format() === 'json') io.out(`${JSON.stringify({ differences, findings })}\n`);
        else for (const { file, kind } of differences) io.out(`${name}/${file} ${HOW[kind]}\n`);
        if (differences.length === 0) {
          if (format() === 'text') io.err(`${files.size} manifests in ${name}/ are up to date\n`);
          return;
        }
        if (format() === 'text') io.err(`run: ai-model-service synth ${folder}\n`);
        return finish(EXIT.findings);
      }
      const { written, removed, unchanged } = writeManifests(out, files);
      if (format() === 'json') {
        io.out(`${JSON.stringify({ written, removed, unchanged, findings })}\n`);
        return;
      }
      for (const file of written) io.out(`${name}/${file}\n`);
      for (const file of removed) io.out(`${name}/${file} removed\n`);
      const same = unchanged.length;
      io.err(`${written.length} written, ${same} unchanged, ${removed.length} removed\n`);
    });
}
