import { LineCounter, parseDocument } from 'yaml';
import type { Document } from 'yaml';
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

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** JSON is YAML: right JSON is parsed fast, and only a fault asks for its lines. */
export function parseJson(text: string, file: string): Located {
  const value = tryJson(text);
  if (value === undefined) return parseYaml(text, file);
  return { value, lineOf: (path) => parseYaml(text, file).lineOf(path) };
}

/**
 * YAML with its lines.
 * @throws DefinitionError when it is not one document
 */
export function parseYaml(text: string, file: string): Located {
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false });
  const broken = document.errors.map(
    (error) =>
      new DefinitionError(
        [fileFault(`${error.message}; correct it`)],
        `${file}:${counter.linePos(error.pos[0]).line}`,
      ),
  );
  const [first] = broken;
  if (first !== undefined) throw first;
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
  return Object.assign(new DefinitionError(error.faults, file), {
    message: error.faults
      .map((found) => formatFault(found, `${file}:${located.lineOf(found.path)}`))
      .join('\n'),
  });
}
