import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runCommand } from '../cli/program';
import { configSchema } from '../lib/config';
import { PLAN_RULES } from '../lib/plan/rules';
import { FINDING_RULES } from '../lib/spec/findings';
import { modelSchema } from '../lib/spec';
import { pathParts } from '../lib/spec/path';
import { schemaFor } from '../lib/spec/walk';
import { ERROR_STATUS } from '../runtime/core/routing/error-codes';
import type { Snippet } from './support/snippets';
import { commandsOf, pages, pageText, snippetsOf } from './support/snippets';
import { ROOT } from './support/sources';

// The names that the documentation mentions exist. The changelog is history: it may name what has gone.

const PAGES = pages().filter((page) => page !== 'CHANGELOG.md');

interface Mention {
  readonly page: string;
  readonly name: string;
}

/** Every part of a page's text that `pattern` finds: its first group, or the whole match. */
const mentions = (pattern: RegExp): readonly Mention[] =>
  PAGES.flatMap((page) =>
    [...pageText(page).matchAll(pattern)].map((match) => ({ page, name: match[1] ?? match[0] })),
  );

const without = (found: readonly Mention[], exists: (mention: Mention) => boolean): string[] =>
  found.filter((one) => !exists(one)).map(({ page, name }) => `${page}: ${name}`);

test('metrics on a page are exposed, or recorded', () => {
  const files = ['runtime/onnx/metrics.ts', 'lib/objects/autoscaler.ts'];
  const known = ['metrics.txt', ...files, 'lib/monitoring/server-metrics.ts']
    .map((file) => readFileSync(join(ROOT, file), 'utf8'))
    .join('\n');
  const found = mentions(/`((?:ai_model|onnx_server)_[a-z_]+[a-z])\b/g);
  expect(found.length).toBeGreaterThan(15);
  expect(without(found, ({ name }) => new RegExp(`\\b${name}\\b`).test(known))).toEqual([]);
});

test('an error code beside a status exists, with this status', () => {
  const found = mentions(/\b([45]\d\d `[A-Z][A-Z_]+`)/g);
  const known = new Set(Object.entries(ERROR_STATUS).map(([code, status]) => `${status} ${code}`));
  expect(found.length).toBeGreaterThan(10);
  const plain = (name: string): string => name.replaceAll('`', '');
  expect(without(found, ({ name }) => known.has(plain(name)))).toEqual([]);
});

test('the page of definitions has every rule of findings, and no other', () => {
  const [, table = ''] = pageText('docs/definition.md').split('\n## Findings\n');
  const named = table
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .flatMap((line) => [...(line.split('|')[1] ?? '').matchAll(/`([a-z-]+)`/g)])
    .map((match) => match[1]);
  expect(named.sort()).toEqual([...FINDING_RULES.map(({ id }) => id), 'waiver'].sort());
});

test('the page of the plan has every rule with its severity and words, and no other', () => {
  const [, table = ''] = pageText('docs/plan.md').split('\n## Rules\n');
  const rows = table.split('\n').filter((line) => line.startsWith('| `'));
  const cells = rows.map((row) => row.split('|').map((one) => one.trim()));
  const told = cells.map(([, id, severity, when]) => [id, severity, when]);
  expect(told).toEqual(PLAN_RULES.map(({ id, severity, when }) => [`\`${id}\``, severity, when]));
});

/** A path of the definition or of the configuration, in field names or as it is written. */
function isKey(path: string): boolean {
  const parts = pathParts(path);
  return [modelSchema, configSchema].some((schema) => {
    if (schemaFor(schema, parts) !== undefined) return true;
    const camel = parts.map((part) =>
      String(part).replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()),
    );
    return schemaFor(schema, camel) !== undefined;
  });
}

test('keys of the configuration and of definitions on a page exist', () => {
  const sections = [...Object.keys(configSchema.shape), 'scaling', 'health', 'scheduling'].filter(
    (section) => section !== 'cluster',
  );
  const key = new RegExp(`\`((?:${sections.join('|')})\\.[a-z][A-Za-z_.]+)(?=[:\`])`, 'g');
  const found = mentions(key);
  expect(found.length).toBeGreaterThan(60);
  expect(without(found, ({ name }) => isKey(name))).toEqual([]);
});

test('scripts of npm on a page exist', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    readonly scripts: Readonly<Record<string, string>>;
  };
  const found = mentions(/npm run (?:--silent )?([a-z:0-9]+)/g);
  expect(found.length).toBeGreaterThan(5);
  expect(without(found, ({ name }) => name in scripts)).toEqual([]);
});

/** Files that a page shows as examples, or that lie in other projects. */
const ELSEWHERE = /^(?:models\/x\.ts|deploy\/(?:crds|charts))/;

test('files of the repository on a page exist', () => {
  const folder = '(?:bench|cli|config|deploy|docs|examples|lib|models|runtime|schema|scripts|test)';
  const found = mentions(new RegExp(`(?<![\\w./-])${folder}/[\\w./-]*\\w`, 'g'));
  expect(found.length).toBeGreaterThan(60);
  const roots = (page: string): string[] => [ROOT, join(ROOT, dirname(page))];
  const exists = ({ page, name }: Mention): boolean =>
    ELSEWHERE.test(name) || roots(page).some((root) => existsSync(join(root, name)));
  expect(without(found, exists)).toEqual([]);
});

test('the documentation lists every command', async () => {
  const help = await helpOf(['--help']);
  const commands = [...help.matchAll(/^ {2}([a-z-]+) \[options\]/gm)].map((match) => match[1]);
  const [, table = ''] = pageText('docs/README.md').split('## Commands');
  const listed = [...table.matchAll(/^\| `([a-z-]+)`/gm)].map((match) => match[1]);
  expect(listed.sort()).toEqual(commands.sort());
});

test('the page of the management API has every call below /api/v1', () => {
  const { paths } = JSON.parse(readFileSync(join(ROOT, 'openapi.json'), 'utf8')) as {
    readonly paths: Readonly<Record<string, object>>;
  };
  const page = pageText('docs/rest-api.md');
  const calls = Object.keys(paths).filter((path) => /^\/api\/v1\/(?!.*inference$)/.test(path));
  expect(calls.length).toBeGreaterThan(10);
  const missing = calls.filter((path) => !page.includes(path.replace('/api/v1', '')));
  expect(missing).toEqual([]);
});

/** The command line of `ai-model-service` in a line of a shell block: what follows the name. */
const ARGUMENTS = /(?:ai-model-service(?::[\w.]+)?|build\/bin\.cjs)\s+([a-z-].*)$/s;

async function helpOf(args: readonly string[]): Promise<string> {
  let text = '';
  const write = (piece: string): void => void (text += piece);
  const now = (): Date => new Date(0);
  await runCommand(args, { out: write, err: write, env: {}, cwd: ROOT, terminal: false, now });
  return text;
}

async function unknownWords({ page, line, text }: Snippet): Promise<readonly string[]> {
  const given = ARGUMENTS.exec(text)?.[1]?.split(/\s+#/)[0]?.split(/\s+/) ?? [];
  const [command = ''] = given;
  const help = await helpOf(command.startsWith('-') ? ['--help'] : [command, '--help']);
  const options = given.filter((word) => word.startsWith('--')).map((word) => word.split('=')[0]);
  return options
    .filter((option) => !new RegExp(`${option}\\b`).test(help))
    .concat(help.includes('unknown command') ? [command] : [])
    .map((word) => `${page}:${line}: ai-model-service ${command}: ${word}`);
}

test('commands and options on a page exist', async () => {
  const shown = PAGES.flatMap(snippetsOf)
    .filter(({ language }) => language === 'sh')
    .flatMap((snippet) => commandsOf(snippet).map((text) => ({ ...snippet, text })))
    .filter(({ text }) => ARGUMENTS.test(text) && !text.startsWith('kubectl'));
  expect(shown.length).toBeGreaterThan(10);
  expect((await Promise.all(shown.map(unknownWords))).flat()).toEqual([]);
});

/** The anchor that GitHub gives a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

function anchorsOf(page: string): ReadonlySet<string> {
  const headings = [...pageText(page).matchAll(/^#+ (.+)$/gm)].map((match) => match[1] ?? '');
  return new Set(headings.map(anchorOf));
}

test('links to a section lead to a heading of that name', () => {
  const found = mentions(/\]\(((?!https?:)[^)\s]*#[^)\s]+)\)/g);
  expect(found.length).toBeGreaterThan(15);
  const leads = ({ page, name }: Mention): boolean => {
    const [file = '', anchor = ''] = name.split('#');
    return anchorsOf(file === '' ? page : join(dirname(page), file)).has(anchor);
  };
  expect(without(found, leads)).toEqual([]);
});
