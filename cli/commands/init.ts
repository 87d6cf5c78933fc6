import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { CommandError } from '../exit';
import type { CommandContext } from '../command-context';
import type { PackageSource } from '../package-source';
import { dependencyOf, packageSourceOf } from '../package-source';
import type { TemplateFile } from '../template/project';
import { projectFiles } from '../template/project';

/** The bundle is in build/, the source of this file in cli/commands/. */
const PACKAGE_ROOT = resolve(__dirname, basename(__dirname) === 'build' ? '..' : '../..');

/** A folder name as npm allows it: `My Models` → `my-models`. */
function packageName(folder: string): string {
  const name = basename(folder)
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[._-]+/, '');
  return name === '' ? 'models' : name;
}

/** Writes a small project; if one of its files exists already, nothing is written. */
export function addInit(program: Command, { io, format }: CommandContext): void {
  program
    .command('init')
    .description('Write a small project that synthesizes and answers at once.')
    .argument('[folder]', 'where to', '.')
    .addHelpText('after', '\nExample:\n  ai-model-service init my-models')
    .action((folder: string) => {
      const root = resolve(io.cwd, folder);
      const source = packageSourceOf(PACKAGE_ROOT);
      const dependency = dependencyOf(source, root);
      const files = [...projectFiles(packageName(root), dependency), ...packedFiles(source)];
      const taken = files.map(({ path }) => path).filter((path) => existsSync(join(root, path)));
      if (taken.length > 0) {
        throw new CommandError(
          `${folder}: contains ${taken.join(', ')} already, nothing was written; choose an empty folder`,
        );
      }
      for (const { path, content } of files) {
        mkdirSync(dirname(join(root, path)), { recursive: true });
        writeFileSync(join(root, path), content, { flag: 'wx' });
      }
      const written = files.map(({ path }) => path);
      if (format() === 'json') {
        io.out(`${JSON.stringify({ folder: root, files: written, dependency })}\n`);
      } else io.out(nextSteps(folder, written, source));
    });
}

/** The packed library is copied into the project, so that a clone of it can be installed. */
function packedFiles(source: PackageSource): readonly TemplateFile[] {
  if (source.kind !== 'tarball') return [];
  return [{ path: `vendor/${basename(source.file)}`, content: readFileSync(source.file) }];
}

function nextSteps(folder: string, written: readonly string[], source: PackageSource): string {
  const pack =
    source.kind === 'unpacked'
      ? `  (cd ${source.checkout} && scripts/dev.sh pack)    # package.json refers to its file\n`
      : '';
  const enter = folder === '.' ? '' : `  cd ${folder}\n`;
  return `Wrote ${written.join(', ')}.

Next:
${pack}${enter}  npm install
  npx ai-model-service synth    # manifests to dist/
  npx ai-model-service dev      # the model answers on 127.0.0.1:8080
`;
}
