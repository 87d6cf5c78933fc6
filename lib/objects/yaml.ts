import { blockText, escapedText, isNoBlock, needsEscapes, quoted, STEP } from './yamltext';
import { readsAsOther } from './yamlwords';

/** A longer key would need YAML's `? key` form; no Kubernetes name is that long. */
const MAX_KEY_CHARACTERS = 1024;

/**
 * Indicators, `: `, ` #` and blanks at the ends, which change a plain text. PyYAML ends a plain
 * text at a tab.
 */
const NOT_PLAIN = /^[\n ,[\]{}#&*!|>'"%@`]|^[?-]$|^[?-] |[\n:] | \n|[\n ]#|[\n :]$|\t/;
const DOCUMENT_MARKER = /^(?:%|---|\.\.\.)/m;
/** Most texts of a manifest: names, paths, words. */
const SIMPLE = /^[A-Za-z/][A-Za-z0-9_./-]*[A-Za-z0-9_/]$/;

function textOf(text: string, indent: string): string {
  if (SIMPLE.test(text)) return readsAsOther(text) ? `"${text}"` : text;
  if (needsEscapes(text)) return escapedText(text);
  if (text.includes('\n')) return isNoBlock(text) ? escapedText(text) : blockText(text, indent);
  return NOT_PLAIN.test(text) || readsAsOther(text) ? quoted(text) : text;
}

function writeKey(key: string, indent: string): string {
  if (SIMPLE.test(key)) return readsAsOther(key) ? `"${key}"` : key;
  if (needsEscapes(key) || key.includes('\n')) return escapedText(key);
  // In the first column these would begin another document.
  const marker = indent === STEP && DOCUMENT_MARKER.test(key);
  return NOT_PLAIN.test(key) || readsAsOther(key) || marker ? quoted(key) : key;
}

/** Cache of rendered keys, which repeat in every object. */
const KEYS = new Map<string, string>();
const MAX_REMEMBERED_KEYS = 2000;

function keyOf(key: string, indent: string): string {
  const known = KEYS.get(key);
  if (known !== undefined && indent !== STEP) return known;
  const written = writeKey(key, indent);
  if (written.length > MAX_KEY_CHARACTERS) throw new Error(`a key of ${key.length} characters`);
  if (indent !== STEP && KEYS.size < MAX_REMEMBERED_KEYS) KEYS.set(key, written);
  return written;
}

function scalarOf(value: unknown, indent: string): string {
  if (typeof value === 'string') return textOf(value, indent);
  if (typeof value === 'number') return numberOf(value);
  return value === null || value === undefined ? 'null' : String(value);
}

function numberOf(value: number): string {
  if (Number.isNaN(value)) return '.nan';
  if (!Number.isFinite(value)) return value < 0 ? '-.inf' : '.inf';
  // PyYAML reads `1e+21` as text; with a point every reader takes it for a number.
  return Object.is(value, -0) ? '-0' : JSON.stringify(value).replace(/^(-?\d+)e/, '$1.0e');
}

const isCollection = (value: unknown): value is object =>
  typeof value === 'object' && value !== null;

/**
 * A map or list without the indentation of its first line. Joined by `+`: nothing is copied until
 * the end.
 */
function collectionOf(value: object, indent: string): string {
  const inner = indent + STEP;
  let text = '';
  const add = (line: string): void => {
    text = text === '' ? line : `${text}\n${indent}${line}`;
  };
  if (Array.isArray(value)) {
    for (const item of value) {
      add(`- ${isCollection(item) ? collectionOf(item, inner) : scalarOf(item, inner)}`);
    }
    return text === '' ? '[]' : text;
  }
  for (const [key, item] of Object.entries(value)) {
    const name = keyOf(key, inner);
    if (!isCollection(item)) add(`${name}: ${scalarOf(item, inner)}`);
    else if (isEmpty(item)) add(`${name}: ${Array.isArray(item) ? '[]' : '{}'}`);
    else add(`${name}:\n${inner}${collectionOf(item, inner)}`);
  }
  return text === '' ? '{}' : text;
}

function isEmpty(value: object): boolean {
  for (const _ in value) return false;
  return true;
}

/**
 * Objects as YAML documents that Kubernetes' own reader, PyYAML and `yaml` read alike. They have
 * the bytes of cdk8s' `Yaml.stringify` wherever those can be read by all three (a property test
 * holds the two together), in a fraction of its time: no document tree is built.
 * @param docs plain JSON objects, as `objectsOf` and `ApiObject.toJson` give them
 */
export function yamlOf(docs: readonly object[]): string {
  return docs.map((doc) => `${collectionOf(doc, '')}\n`).join('---\n');
}
