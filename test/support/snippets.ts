import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './sources';

/** A fenced block of a page. */
export interface Snippet {
  readonly page: string;
  readonly line: number;
  readonly language: string;
  /** Rest of the opening line: `title=models/iris.yaml` and the like. */
  readonly info: string;
  readonly text: string;
}

/** Every page of documentation that is written by hand. */
export function pages(): readonly string[] {
  const docs = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md') && !name.startsWith('api/'))
    .map((name) => `docs/${name}`);
  const examples = readdirSync(join(ROOT, 'examples'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md') && !name.includes('node_modules'))
    .map((name) => `examples/${name}`);
  const others = ['bench/README.md', 'deploy/kubernetes/README.md'];
  const top = readdirSync(ROOT).filter((name) => name.endsWith('.md'));
  return [...top, ...docs, ...examples, ...others].sort();
}

export function pageText(page: string): string {
  return readFileSync(join(ROOT, page), 'utf8');
}

export function snippetsOf(page: string): readonly Snippet[] {
  const text = pageText(page);
  return [...text.matchAll(/^```(\S+)([^\n]*)\n([\s\S]*?)^```$/gm)].map((match) => ({
    page,
    line: text.slice(0, match.index).split('\n').length,
    language: match[1] ?? '',
    info: (match[2] ?? '').trim(),
    text: match[3] ?? '',
  }));
}

/** Commands of a shell block: a trailing `\` joins lines, a quoted body may span several. */
export function commandsOf({ text }: Snippet): readonly string[] {
  const commands: string[] = [];
  let open = '';
  for (const line of text.split('\n')) {
    open = open === '' ? line : `${open}\n${line}`;
    const quotes = (open.match(/'/g) ?? []).length;
    if (open.endsWith('\\') || quotes % 2 === 1) continue;
    if (open.trim() !== '' && !open.trim().startsWith('#')) commands.push(open.trim());
    open = '';
  }
  return commands;
}
