import { LineCounter, parseDocument } from 'yaml';
import type { Document } from 'yaml';
import type { Fault } from '../spec';
import { DefinitionError, formatFault } from '../spec';
import { pathParts } from '../spec/path';
import { fileFault } from './errors';

/** A value and where its parts stand. */
export interface Located {
  readonly value: unknown;
  /** Line of what a fault's path leads to, from 1; of its nearest parent when it is missing. */
  readonly lineOf: (path: string) => number;
}

function lineIn(document: Document, counter: LineCounter, path: string): number {
  for (let parts = pathParts(path); parts.length > 0; parts = parts.slice(0, -1)) {
    const node = document.getIn(parts, true) as { range?: readonly number[] } | undefined;
    const start = node?.range?.[0];
    if (start !== undefined) return counter.linePos(start).line;
  }
  return 1;
}

function syntaxError(file: string, line: number, column: number, words: string): DefinitionError {
  const broken: Fault = { ...fileFault(`${words}; correct it`), file, line };
  return Object.assign(new DefinitionError([broken], file), {
    message: formatFault(broken, `${file}:${line}:${column}`),
  });
}

const emptyFile = (file: string): DefinitionError =>
  new DefinitionError([fileFault('is empty; write a definition, or remove the file')], file);

/** Node's words without its way to say the place, which differs from version to version. */
function jsonError(text: string, file: string, error: Error): DefinitionError {
  const given = / at position (\d+)/.exec(error.message)?.[1];
  const before = text.slice(0, given === undefined ? text.length : Number(given)).split('\n');
  const words = error.message.replace(/ (?:in JSON )?at position .*$/s, '');
  return syntaxError(file, before.length, (before.at(-1) ?? '').length + 1, `no JSON: ${words}`);
}

/**
 * JSON is YAML: only a fault asks for its lines.
 * @throws DefinitionError when it is no JSON
 */
export function parseJson(text: string, file: string): Located {
  if (text.trim() === '') throw emptyFile(file);
  try {
    const value = JSON.parse(text) as unknown;
    return { value, lineOf: (path) => parseYaml(text, file).lineOf(path) };
  } catch (error) {
    throw jsonError(text, file, error as Error);
  }
}

/**
 * YAML with its lines.
 * @throws DefinitionError when it is not one document
 */
export function parseYaml(text: string, file: string): Located {
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false });
  const [broken] = document.errors;
  if (broken !== undefined) {
    const { line, col } = counter.linePos(broken.pos[0]);
    throw syntaxError(file, line, col, broken.message);
  }
  if (document.contents === null) throw emptyFile(file);
  return {
    value: toValue(document, file),
    lineOf: (path) => lineIn(document, counter, path),
  };
}

function toValue(document: Document, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 }) as unknown;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new DefinitionError([fileFault(`${reason}; correct it`)], file);
  }
}

/** The same error, each fault with its line: `models/x.yaml:9: scaling_config.max_replicas: …`. */
export function withLines(error: DefinitionError, file: string, located: Located): DefinitionError {
  const faults = error.faults.map((one): Fault & { readonly line: number } => ({
    ...one,
    file,
    line: located.lineOf(one.path),
  }));
  return Object.assign(new DefinitionError(faults, file), {
    message: faults.map((one) => formatFault(one, `${file}:${one.line}`)).join('\n'),
  });
}
