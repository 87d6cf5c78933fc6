import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { parse } from 'yaml';
import { runCommand } from '../cli/program';
import { modelSchema, parseModel } from '../lib/spec';
import { parseConfig } from '../runtime/app/config';
import { PACKAGES } from './e2e/long/install';
import type { Snippet } from './support/snippets';
import { commandsOf, pages, pageText, snippetsOf } from './support/snippets';
import { ROOT } from './support/sources';

// What the documentation shows is compiled, parsed or run here. A block says what it is by its language
// (`ts`, `yaml`, `sh`) and, where that is not enough, by a word behind it: `yaml definition`, `yaml config`.

const all = pages().flatMap(snippetsOf);
const of = (...languages: string[]): readonly Snippet[] =>
  all.filter(({ language }) => languages.includes(language));

function compileErrors(snippets: readonly Snippet[]): readonly string[] {
  const config = ts.readConfigFile(join(ROOT, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, ROOT);
  const texts = new Map(
    snippets.map((one, index) => [
      join(ROOT, `docs-snippet-${index}.ts`),
      { one, text: `${one.text}\nexport {};\n` },
    ]),
  );
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.fileExists = (file) => texts.has(file) || fileExists.call(host, file);
  host.readFile = (file) => texts.get(file)?.text ?? readFile.call(host, file);
  host.getSourceFile = (file, version, ...rest) => {
    const given = texts.get(file);
    return given === undefined
      ? getSourceFile.call(host, file, version, ...rest)
      : ts.createSourceFile(file, given.text, version, true);
  };
  const relaxed = { ...options, noUnusedLocals: false, noEmit: true };
  const program = ts.createProgram([...texts.keys()], relaxed, host);
  return [...texts].flatMap(([file, { one }]) => {
    const source = program.getSourceFile(file);
    return [...program.getSemanticDiagnostics(source), ...program.getSyntacticDiagnostics(source)]
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
      .map((message) => `${one.page}:${one.line}: ${message}`);
  });
}

test('every TypeScript example compiles against the library', () => {
  const snippets = of('ts', 'typescript');
  expect(snippets.length).toBeGreaterThan(3);
  expect(compileErrors(snippets)).toEqual([]);
});

test('every definition and every configuration on a page is valid', () => {
  const faults = of('yaml').flatMap(({ page, line, info, text }) => {
    try {
      if (info === 'definition') parseModel(parse(text));
      else if (info === 'config') parseConfig(text);
      else parse(text);
      return [];
    } catch (error) {
      return [`${page}:${line}: ${String(error)}`];
    }
  });
  expect(faults).toEqual([]);
});

test('every JSON example is JSON', () => {
  const faults = of('json').flatMap(({ page, line, text }) => {
    try {
      JSON.parse(text);
      return [];
    } catch (error) {
      return [`${page}:${line}: ${String(error)}`];
    }
  });
  expect(faults).toEqual([]);
});

test('every field of a definition is documented', () => {
  const page = pageText('docs/definition.md');
  const fields = Object.keys(modelSchema.shape);
  expect(fields.length).toBeGreaterThan(20);
  expect(fields.filter((field) => !page.includes(`\`${field}\``))).toEqual([]);
});

test('the servers documented as proven are those of the long suite', () => {
  const page = pageText('docs/definition.md');
  const named = [...page.matchAll(/`([a-z-]+==[0-9.]+)`/g)].map((match) => match[1]);
  const run = Object.values(PACKAGES).flat();
  // A pin of something that a server only needs is no server.
  expect(named.sort()).toEqual(run.filter((one) => !one.startsWith('uvloop')).sort());
});

// Commands that need no network and do not stay: they run in an empty folder, page by page, in order.
const RUNNABLE =
  /^(?:npx )?(?:@suoke\/)?ai-model-service (init|synth|validate|plan|rules|dashboards|keys|--help|--version)/;

async function failingCommands(page: string, cwd: string): Promise<readonly string[]> {
  const failed: string[] = [];
  for (const command of snippetsOf(page)
    .filter(({ language }) => language === 'sh')
    .flatMap(commandsOf)) {
    if (!RUNNABLE.test(command)) continue;
    const args = command.replace(/^npx /, '').split(/\s+#/)[0]?.trim().split(/\s+/).slice(1) ?? [];
    let said = '';
    const say = (text: string): void => void (said += text);
    const io = { out: say, err: say, env: {}, cwd, terminal: false, now: () => new Date(0) };
    if ((await runCommand(args, io)) !== 0) failed.push(`${page}: ${command}\n${said}`);
  }
  return failed;
}

test('the commands of every page do what the page says, in an empty folder', async () => {
  for (const page of pages()) {
    const cwd = mkdtempSync(join(tmpdir(), 'docs-'));
    try {
      expect(await failingCommands(page, cwd)).toEqual([]);
    } finally {
      rmSync(cwd, { recursive: true, force: true });
    }
  }
});

test('links between pages and to files have a target', () => {
  const dead = pages().flatMap((page) =>
    [...pageText(page).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)/g)]
      .map((match) => match[1] ?? '')
      .filter((target) => !existsSync(join(ROOT, dirname(page), target)))
      .map((target) => `${page} → ${target}`),
  );
  expect(dead).toEqual([]);
});

/** Figures outside of examples: the Chinese README must not lag behind. */
const figuresOf = (page: string): readonly string[] => {
  const prose = pageText(page).replace(/^```[\s\S]*?^```/gm, '');
  return [...new Set(prose.match(/\d[\d.,:]*\d|\d/g))].sort();
};

const linksOf = (page: string): readonly string[] =>
  [...pageText(page).matchAll(/\]\(([^)]+)\)/g)].map((match) => match[1] ?? '');

test('the Chinese README has every figure and every link of the English one', () => {
  expect(figuresOf('README.zh-CN.md')).toEqual(figuresOf('README.md'));
  const links = new Set(linksOf('README.zh-CN.md').map((link) => link.replace('.zh-CN', '')));
  const missing = linksOf('README.md').filter((link) => !links.has(link.replace('.zh-CN', '')));
  expect(missing).toEqual([]);
});

test('the Chinese README has every heading and every example of the English one', () => {
  const headings = (page: string): number => (pageText(page).match(/^#+ /gm) ?? []).length;
  const code = (page: string): readonly string[] =>
    snippetsOf(page).map(({ language, text }) => `${language}\n${text}`);
  expect(headings('README.zh-CN.md')).toBe(headings('README.md'));
  expect(code('README.zh-CN.md')).toEqual(code('README.md'));
});
