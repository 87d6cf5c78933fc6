import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { CommandError } from '../exit';
import type { Io } from '../io';

/** Output of git that we read is short; what it writes goes to files. */
const MAX_OUTPUT_BYTES = 1_000_000;
/** Characters of a commit in messages. */
const SHORT_COMMIT = 12;

/**
 * git must not ask, must not load anything from elsewhere (objects of a partial clone, files of
 * LFS that are not here), and must not run programs that a repository names.
 */
const OFFLINE = {
  GIT_TERMINAL_PROMPT: '0',
  GIT_NO_LAZY_FETCH: '1',
  GIT_LFS_SKIP_SMUDGE: '1',
  GIT_OPTIONAL_LOCKS: '0',
};
const SETTINGS = ['-c', 'core.fsmonitor=false', '-c', 'core.hooksPath=/dev/null'] as const;

interface Git {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
}

/** Runs git, never a shell. @throws CommandError with what git said */
function git({ cwd, env }: Git, what: string, ...args: readonly string[]): string {
  const done = spawnSync('git', [...SETTINGS, ...args], {
    cwd,
    env: { ...env, ...OFFLINE },
    encoding: 'utf8',
    maxBuffer: MAX_OUTPUT_BYTES,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (done.status === 0) return done.stdout.replace(/\n$/, '');
  const said = done.error?.message ?? done.stderr.trim().split('\n')[0] ?? '';
  throw new CommandError(`${what}${said === '' ? '' : ` (git: ${said})`}`);
}

function commitOf(place: Git, ref: string): string {
  // An option of git, or a name that no revision has.
  // oxlint-disable-next-line no-control-regex
  if (ref === '' || ref.startsWith('-') || /[\u0000-\u0020]/.test(ref)) {
    const words = `--base: got ${JSON.stringify(ref)}, must be a revision of git such as origin/main or HEAD^1, or a folder; write one`;
    throw new CommandError(words);
  }
  const words = `--base: ${ref} is neither a folder nor a revision of this repository; fetch it first (a shallow clone has few), or name another`;
  return git(place, words, 'rev-parse', '--verify', '--quiet', `${ref}^{commit}`);
}

/** Packages of the working tree serve the old definitions, too: their imports look upwards. */
function linkPackages(top: string, project: string, tree: string): void {
  for (let folder = project; ; folder = dirname(folder)) {
    const [from, to] = [
      join(folder, 'node_modules'),
      join(tree, relative(top, folder), 'node_modules'),
    ];
    if (existsSync(from) && existsSync(dirname(to)) && !existsSync(to))
      symlinkSync(from, to, 'junction');
    if (folder === top || folder === dirname(folder)) return;
  }
}

const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const;

/** A folder that is gone when the work has ended, also by a signal. */
async function withTemporaryFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'ai-model-plan-')));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  const end = (signal: keyof typeof SIGNALS): void => {
    remove();
    process.exit(SIGNALS[signal]);
  };
  process.once('SIGINT', end).once('SIGTERM', end);
  try {
    return await work(folder);
  } finally {
    process.off('SIGINT', end).off('SIGTERM', end);
    remove();
  }
}

/** A revision on the disk, for as long as it is worked with. */
export interface Revision {
  /** The folder that stands for the working folder. */
  readonly folder: string;
  /** `origin/main (1a2b3c4d5e6f)`. */
  readonly label: string;
}

/**
 * Writes the files of a revision to a temporary folder, works with them, and removes them. The
 * repository stays as it is: an index of its own is used.
 * @throws CommandError when there is no such revision here
 */
export async function withRevision<T>(
  ref: string,
  { cwd, env }: Io,
  work: (revision: Revision) => Promise<T>,
): Promise<T> {
  const place = { cwd, env };
  const outside = `--base ${ref}: ${cwd} is not in a repository of git; run it in one, or name a folder`;
  const top = realpathSync(git(place, outside, 'rev-parse', '--show-toplevel'));
  const commit = commitOf(place, ref);
  return withTemporaryFolder((folder) => {
    const tree = join(folder, 'tree');
    const index = { cwd: top, env: { ...env, GIT_INDEX_FILE: join(folder, 'index') } };
    const unread = `--base: the files of ${ref} cannot be read`;
    git(index, unread, 'read-tree', commit);
    git(index, unread, 'checkout-index', '--all', '--quiet', `--prefix=${tree}/`);
    const project = realpathSync(cwd);
    linkPackages(top, project, tree);
    const label = `${ref} (${commit.slice(0, SHORT_COMMIT)})`;
    return work({ folder: join(tree, relative(top, project)), label });
  });
}
