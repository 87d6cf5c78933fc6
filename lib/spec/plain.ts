import type { Fault } from './error';
import { fault } from './error';
import { pathText } from './path';

/** Deeper nesting is an attack or an accident; our deepest legal value has about ten levels. */
export const MAX_DEPTH = 40;
/** A definition with more values than this is not one. */
export const MAX_VALUES = 50_000;

interface Visit {
  readonly value: unknown;
  readonly path: readonly PropertyKey[];
}

/** A lone surrogate: it cannot be encoded as UTF-8, which files, HTTP and Kubernetes use. */
const LONE_SURROGATE = /[\u{D800}-\u{DFFF}]/u;

/** Characters that can be passed neither in the environment nor as an argument. */
function textFault(text: string, where: string): Fault | undefined {
  const lone = LONE_SURROGATE.exec(text);
  const at = lone?.index ?? text.indexOf('\0');
  if (at < 0) return undefined;
  const escaped = `U+${text.charCodeAt(at).toString(16).toUpperCase().padStart(4, '0')}`;
  const what = lone === null ? 'without NUL' : 'of whole characters (this is half of a pair)';
  return {
    path: where,
    message: `holds ${escaped} at character ${at + 1}, must be a text ${what}; remove it`,
    got: escaped,
    allowed: `a text ${what}`,
  };
}

function faultOf({ value, path }: Visit): Fault | undefined {
  const where = pathText(path);
  if (path.length > MAX_DEPTH) {
    return fault(where.slice(0, 80), undefined, `nested at most ${MAX_DEPTH} deep`, 'flatten it');
  }
  if (path.at(-1) === '__proto__') {
    return fault(where, '__proto__', 'another key', 'remove it');
  }
  if (typeof value === 'number' && !Number.isFinite(value)) {
    return fault(where, String(value), 'a finite number', 'correct it');
  }
  const texts = [path.at(-1), value].filter((one) => typeof one === 'string');
  const [broken] = texts.flatMap((text) => textFault(text, where) ?? []);
  if (broken !== undefined) return broken;
  const isPlain =
    value === null ||
    value === undefined ||
    ['string', 'number', 'boolean'].includes(typeof value) ||
    Array.isArray(value) ||
    (typeof value === 'object' && [Object.prototype, null].includes(Object.getPrototypeOf(value)));
  return isPlain ? undefined : fault(where, String(typeof value), 'plain data', 'write data only');
}

function childrenOf({ value, path }: Visit): Visit[] {
  if (typeof value !== 'object' || value === null) return [];
  if (Array.isArray(value))
    return value.map((inner, index) => ({ value: inner, path: [...path, index] }));
  return Object.entries(value).map(([key, inner]) => ({ value: inner, path: [...path, key] }));
}

/**
 * The first part of a value that is not plain JSON-like data of sane size; cycles end at MAX_DEPTH.
 */
export function plainFault(root: unknown): Fault | undefined {
  const waiting: Visit[] = [{ value: root, path: [] }];
  for (let seen = 0; waiting.length > 0; seen += 1) {
    if (seen > MAX_VALUES)
      return fault('', undefined, `of at most ${MAX_VALUES} values`, 'make it smaller');
    const visit = waiting.pop() as Visit;
    const found = faultOf(visit);
    if (found !== undefined) return found;
    waiting.push(...childrenOf(visit));
  }
  return undefined;
}
