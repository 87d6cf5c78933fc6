import { isAlias, isScalar, LineCounter, parseDocument, visit } from 'yaml';
import type { Document, YAMLError } from 'yaml';
import type { Fault } from '../spec';
import {
  asWritten,
  DefinitionError,
  formatFault,
  JsonTextError,
  readJsonText,
  twiceText,
} from '../spec';
import { pathParts, pathText } from '../spec/path';
import { writtenPath } from '../spec/wire';
import { fileFault } from './errors';
import type { YamlWords } from './yamlerror';
import { yamlWords } from './yamlerror';

/** A value and the places of its parts. */
export interface Located {
  readonly value: unknown;
  /** Line of a path, from 1; of its nearest parent when it is missing. */
  readonly lineOf: (path: string) => number;
  /** A number or a word as its author wrote it; undefined for texts, lists and objects. */
  readonly sourceOf: (path: string) => string | undefined;
}

type Positioned = { readonly range?: readonly number[] | null } | null | undefined;

function lineIn(document: Document, counter: LineCounter, path: string): number {
  for (let parts = pathParts(path); parts.length > 0; parts = parts.slice(0, -1)) {
    const node = document.getIn(parts, true) as Positioned;
    const start = node?.range?.[0];
    if (start !== undefined) return counter.linePos(start).line;
  }
  return 1;
}

function sourceIn(document: Document, path: string): string | undefined {
  const node = document.getIn(pathParts(path), true);
  return isScalar(node) && typeof node.value !== 'string' ? node.source : undefined;
}

function syntaxError(
  file: string,
  line: number,
  column: number,
  words: string,
  path = '',
): DefinitionError {
  const broken: Fault = { ...fileFault(words), path, file, line };
  return Object.assign(new DefinitionError([broken], file), {
    message: formatFault(broken, `${file}:${line}:${column}`),
  });
}

const emptyFile = (file: string): DefinitionError =>
  new DefinitionError([fileFault('is empty; write a definition, or remove the file')], file);

/**
 * JSON with its lines; a byte order mark before it is left out.
 * @throws DefinitionError when it is not JSON
 */
export function parseJson(text: string, file: string): Located {
  if (text.trim() === '') throw emptyFile(file);
  try {
    const { value, lineOf, sourceOf } = readJsonText(text);
    return {
      value,
      lineOf: (path) => lineOf(pathParts(path)),
      sourceOf: (path) => sourceOf(pathParts(path)),
    };
  } catch (error) {
    if (!(error instanceof JsonTextError)) throw error;
    const { line, column } = error.place;
    const words = error.path === '' ? `is not JSON: ${error.words}; correct it` : error.words;
    throw syntaxError(file, line, column, words, error.path);
  }
}

/** The repeated key, with both lines. */
function twiceIn(document: Document, counter: LineCounter, offset: number) {
  let found: (YamlWords & { readonly path: string }) | undefined;
  const lineOf = (node: Positioned): number => counter.linePos(node?.range?.[0] ?? 0).line;
  visit(document, {
    Map: (_, map, ancestors) => {
      const pair = map.items.find(({ key }) => (key as Positioned)?.range?.[0] === offset);
      if (pair === undefined) return undefined;
      const name = String(pair.key);
      const first = map.items.find(({ key }) => String(key) === name);
      const parents = ancestors.flatMap((one) => {
        const own = one as { readonly key?: unknown };
        return own.key === undefined ? [] : [String(own.key)];
      });
      const words = twiceText(lineOf(first?.key as Positioned), lineOf(pair.key as Positioned));
      found = { path: pathText([...parents, name]), words };
      return visit.BREAK;
    },
  });
  return found;
}

function yamlError({ document, text, counter, file }: Read, error: YAMLError): DefinitionError {
  const [stopped] = error.pos;
  const twice = error.code === 'DUPLICATE_KEY' ? twiceIn(document, counter, stopped) : undefined;
  const { words, offset = stopped } = twice ?? yamlWords(text, error, stopped);
  const { line, col } = counter.linePos(offset);
  return syntaxError(file, line, col, words, twice?.path);
}

/** Keys are texts: `1.10` as a key is "1.10", not a number. */
function nameKeys(document: Document): void {
  visit(document, {
    Pair: (_, { key }) => {
      if (isScalar(key) && typeof key.value !== 'string' && key.source !== undefined) {
        key.value = key.source;
      }
    },
  });
}

interface Read {
  readonly document: Document;
  readonly text: string;
  readonly counter: LineCounter;
  readonly file: string;
}

/** A text with merge keys (`<<`), as other Kubernetes tools read them. */
function readText(text: string, file: string): Read {
  const counter = new LineCounter();
  const options = { lineCounter: counter, prettyErrors: false, merge: true };
  const document = parseDocument(text, options) as Document;
  const read = { document, text, counter, file };
  // The meaning of an unknown tag would be lost.
  const lost = document.warnings.filter(({ code }) => code === 'TAG_RESOLVE_FAILED');
  const [broken] = [...document.errors, ...lost];
  if (broken !== undefined) throw yamlError(read, broken);
  return read;
}

/**
 * The value of one YAML document; undefined when it is empty.
 * @throws DefinitionError when it is not one document
 */
export function parseYamlText(text: string, file: string): Located | undefined {
  const read = readText(text, file);
  const { document, counter } = read;
  if (document.contents === null) return undefined;
  nameKeys(document);
  return {
    value: toValue(read),
    lineOf: (path) => lineIn(document, counter, path),
    sourceOf: (path) => sourceIn(document, path),
  };
}

/**
 * A definition in YAML with its lines.
 * @throws DefinitionError when it is not one document
 */
export function parseYaml(text: string, file: string): Located {
  const located = parseYamlText(text, file);
  if (located === undefined) throw emptyFile(file);
  return located;
}

/**
 * The place of the first alias without an earlier anchor, or of the first merge of a value that is
 * not a map.
 */
function brokenOffset(document: Document): number | undefined {
  let offset: number | undefined;
  const at = (node: unknown): symbol => {
    offset = (node as Positioned)?.range?.[0];
    return visit.BREAK;
  };
  visit(document, {
    Alias: (_, alias) => (alias.resolve(document) === undefined ? at(alias) : undefined),
    Pair: (_, { key, value }) => {
      const isMerge = isScalar(key) && key.value === '<<' && key.type === 'PLAIN';
      const source = isAlias(value) ? value.resolve(document) : value;
      return isMerge && isScalar(source) ? at(key) : undefined;
    },
  });
  return offset;
}

function toValue({ document, text, counter, file }: Read): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 }) as unknown;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const offset = brokenOffset(document);
    const { words } = yamlWords(text, { message }, offset ?? 0);
    if (offset !== undefined) throw syntaxError(file, counter.linePos(offset).line, 1, words);
    throw new DefinitionError([fileFault(words)], file);
  }
}

/**
 * The same error, each fault with its line and its value as written: `models/x.yaml:9:
 * scaling_config.max_replicas: …`.
 */
export function withLines(error: DefinitionError, file: string, located: Located): DefinitionError {
  const faults = error.faults.map((one): Fault & { readonly line: number } => {
    const written = pathText(writtenPath(located.value, pathParts(one.path)));
    return {
      ...asWritten(one, located.sourceOf(written)),
      file,
      line: located.lineOf(written),
    };
  });
  return Object.assign(new DefinitionError(faults, file), {
    message: faults.map((one) => formatFault(one, `${file}:${one.line}`)).join('\n'),
  });
}
