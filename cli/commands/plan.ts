import { relative, resolve } from 'node:path';
import { statSync } from 'node:fs';
import type { Command } from 'commander';
import { Option } from 'commander';
import { observations } from '../../lib/plan/observed';
import { planOf } from '../../lib/plan/plan';
import { planJson } from '../../lib/plan/printers/json';
import { planMarkdown } from '../../lib/plan/printers/markdown';
import { planText } from '../../lib/plan/printers/text';
import type { Plan } from '../../lib/plan/schema';
import type { CommandContext } from '../command-context';
import { CommandError, EXIT } from '../exit';
import type { Io } from '../io';
import type { Condition } from '../plan/fail-on';
import { failOn, failures } from '../plan/fail-on';
import { withRevision } from '../plan/git';
import { readObserved } from '../plan/observed-file';
import { liveSides } from '../plan/live';
import { manifestSides } from '../plan/manifests';
import type { Sides } from '../plan/sides';
import { projectSides } from '../plan/sides';
import { VERSION } from '../version';
import type { Project } from './project';
import { ALLOW_EMPTY, loadProject, outFolder, today } from './project';
import { wholeNumber } from './serve-onnx';

type Format = 'text' | 'json' | 'markdown';

interface Options {
  readonly base?: string;
  readonly format?: Format;
  readonly maxBytes?: number;
  readonly failOn: readonly Condition[];
  readonly out?: string;
  readonly env?: string;
  readonly allowEmpty?: boolean;
  readonly observed?: string;
  readonly live?: boolean;
  readonly kubeconfig?: string;
  readonly context?: string;
}

/** GitHub takes comments of 65,536 characters; a pipeline may add some of its own. */
const MARKDOWN_BYTES = 60_000;
/** Room for the frame of a report and one model. */
const LEAST_BYTES = 4000;
/** The summary of a job on GitHub. */
const MOST_BYTES = 1_000_000;

interface Compared extends Sides {
  readonly base: string;
}

const isFolder = (path: string): boolean =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/** The definitions’ folder below the working folder, which the other side has as well. */
function folderBelow(folder: string, io: Io): string {
  const path = relative(io.cwd, resolve(io.cwd, folder));
  if (!path.startsWith('..')) return path;
  throw new CommandError(
    `--base: ${folder} is not below the working folder; run the command in the folder of the project`,
  );
}

/** With what runs. The name of the cluster is not told: a comment of a pull request may be public. */
async function compareLive(
  { base, kubeconfig, context }: Options,
  project: Project,
  io: Io,
): Promise<Compared> {
  if (base !== undefined) {
    throw new CommandError('--live and --base exclude each other; choose one', EXIT.usage);
  }
  const configPath = kubeconfig === undefined ? undefined : resolve(io.cwd, kubeconfig);
  return { ...(await liveSides({ configPath, context }, project)), base: 'the cluster' };
}

/** The two sides: with a revision, a folder, or the committed manifests. */
async function compare(
  folder: string,
  options: Options,
  { project, io }: { readonly project: Project; readonly io: Io },
): Promise<Compared> {
  const { base, out, env } = options;
  if (options.live === true) return compareLive(options, project, io);
  const manifests = (name: string): Compared => ({
    ...manifestSides(resolve(io.cwd, name), project),
    base: name,
  });
  if (base === undefined) return manifests(outFolder(out, io));
  const path = resolve(io.cwd, base);
  const below = folderBelow(folder, io);
  if (base !== '' && isFolder(path)) {
    if (!isFolder(resolve(path, below))) return manifests(base);
    const old = { root: path, folder: below, label: base, env };
    return { ...(await projectSides(old, project)), base };
  }
  return withRevision(base, io, async ({ folder: root, label }) => {
    const old = { root, folder: below, label: base, env };
    return { ...(await projectSides(old, project)), base: label };
  });
}

const INCOMPLETE =
  'observed rates are too low, and costs per request too high: a router did not report';

/** One service observes one environment. */
function observedIn({ observed }: Options, { environments }: Project, io: Io) {
  if (observed === undefined) return undefined;
  if (environments.all.length === 1) return readObserved(observed, io);
  throw new CommandError('--observed is about one environment; name it with --env', EXIT.usage);
}

function printed(plan: Plan, format: Format, maxBytes: number | undefined): string {
  if (format === 'json') return planJson(plan);
  if (format === 'markdown') return planMarkdown(plan, maxBytes ?? MARKDOWN_BYTES);
  return planText(plan, maxBytes);
}

/** What a change of definitions means: for a pull request. */
export function addPlan(program: Command, { io, format, finish }: CommandContext): void {
  program
    .command('plan')
    .description('Say what a change means: risks, traffic, restarts, objects. Write nothing.')
    .argument('[folder]', 'definitions', 'models')
    .option(
      '--base <revision>',
      'compare with the definitions of a git revision, or of another folder (default: the manifests)',
    )
    .addOption(
      new Option('--format <format>', 'how it is written').choices(['text', 'json', 'markdown']),
    )
    .option(
      '--max-bytes <count>',
      `longest report; details are left out (default: ${MARKDOWN_BYTES} for markdown)`,
      wholeNumber(LEAST_BYTES, MOST_BYTES),
    )
    .option(
      '--fail-on <condition>',
      'exit with 1: a rule, high, medium, low, or cost=N',
      failOn,
      [],
    )
    .option('--observed <file>', 'answer of GET /api/v1/observed: the cost of what runs now')
    .option('--live', 'compare with the cluster of the kubeconfig, by server-side dry runs')
    .option('--kubeconfig <file>', 'for --live (default: $KUBECONFIG or ~/.kube/config)')
    .option('--context <name>', 'for --live: context of the kubeconfig (default: the current one)')
    .option('--out <folder>', 'manifests to compare with (default: $CDK8S_OUTDIR or dist)')
    .option('--env <name>', 'only this environment')
    .option(...ALLOW_EMPTY)
    .addHelpText('after', '\nExample:\n  ai-model-service plan --base origin/main --fail-on high')
    .action(async (folder: string, options: Options) => {
      const project = await loadProject(folder, options, io);
      const sides = await compare(folder, options, { project, io });
      const observed = observedIn(options, project, io);
      const plan = planOf({
        ...sides,
        notes: [...sides.notes, ...(observed?.complete === false ? [INCOMPLETE] : [])],
        library: VERSION,
        today: today(io),
        observed: observed && observations(observed),
      });
      io.out(printed(plan, options.format ?? format(), options.maxBytes));
      const failed = failures(options.failOn, plan);
      if (failed.length > 0) io.err(`fails because of --fail-on: ${failed.join(', ')}\n`);
      if (failed.length > 0 || plan.findings.length > 0) finish(EXIT.findings);
    });
}
