import { blockText, escapedKey, escapedText, quoted, STEP } from './yamltext';

/** A longer key would need YAML's `? key` form; no Kubernetes name comes near. */
const MAX_KEY_CHARACTERS = 1024;

// What YAML 1.1 would read as something else than a string: null, booleans (y and on, too), numbers
// with underscores, base 60, octal, dates. Written plainly, they would change their type.
const OTHER_TYPES: readonly RegExp[] = [
  /^(?:~|[Nn]ull|NULL)?$/,
  /^(?:Y|y|[Yy]es|YES|[Tt]rue|TRUE|[Oo]n|ON|N|n|[Nn]o|NO|[Ff]alse|FALSE|[Oo]ff|OFF)$/,
  /^[-+]?0b[0-1_]+$/,
  /^[-+]?0x[0-9a-fA-F_]+$/,
  /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])*$/,
  /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*$/,
  /^(?:[-+]?\.(?:inf|Inf|INF)|\.nan|\.NaN|\.NAN)$/,
  /^[-+]?(?:[0-9][0-9_]*)?(?:\.[0-9_]*)?[eE][-+]?[0-9]+$/,
  /^[-+]?(?:[0-9][0-9_]*)?\.[0-9_]*$/,
  /^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:t|T|[ \t]+)[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:\.[0-9]+)?(?:[ \t]*(?:Z|[-+][012]?[0-9](?::[0-9]{2})?))?)?$/,
];
/** Only texts that begin so can be any of these. */
const OTHER_TYPE_START = /^(?:$|[-+.0-9~eEYyTtNnOoFf])/;

/** Indicators, `: `, ` #` and blanks at the ends: a plain text would not come back as it was. */
const NOT_PLAIN =
  /^[\n\t ,[\]{}#&*!|>'"%@`]|^[?-]$|^[?-][ \t]|[\n:][ \t]|[ \t]\n|[\n\t ]#|[\n\t :]$/;
// Control characters and lone surrogates can only be written as escapes.
// oxlint-disable-next-line no-control-regex
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u{D800}-\u{DFFF}]/u;
const DOCUMENT_MARKER = /^(?:%|---|\.\.\.)/m;
/** Most texts of a manifest: names, paths, words. */
const SIMPLE = /^[A-Za-z/][A-Za-z0-9_./-]*[A-Za-z0-9_/]$/;

const readsAsOther = (text: string): boolean =>
  OTHER_TYPE_START.test(text) && OTHER_TYPES.some((type) => type.test(text));

/** Blanks after the last newline cannot be seen in a block. */
const BLANK_END = /\n[\t ]+$/;

function textOf(text: string, indent: string): string {
  if (SIMPLE.test(text)) return readsAsOther(text) ? `"${text}"` : text;
  if (CONTROL.test(text) || BLANK_END.test(text)) return escapedText(text, indent);
  if (text.includes('\n')) return blockText(text, indent);
  return NOT_PLAIN.test(text) || readsAsOther(text) ? quoted(text) : text;
}

function writeKey(key: string, indent: string): string {
  if (SIMPLE.test(key)) return readsAsOther(key) ? `"${key}"` : key;
  if (CONTROL.test(key) || key.includes('\n')) return escapedKey(key, indent);
  // In the first column these would begin another document.
  const marker = indent === STEP && DOCUMENT_MARKER.test(key);
  return NOT_PLAIN.test(key) || readsAsOther(key) || marker ? quoted(key) : key;
}

/** Most keys come again and again, in every object. */
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
  return Object.is(value, -0) ? '-0' : JSON.stringify(value);
}

const isCollection = (value: unknown): value is object =>
  typeof value === 'object' && value !== null;

/** A map or list without the indentation of its first line. Joined by `+`: no copy until the end. */
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
 * Objects as YAML documents, with the very bytes of cdk8s' `Yaml.stringify` (a property test holds
 * the two together) in a fraction of its time: no document tree is built.
 * @param docs plain JSON objects, as `objectsOf` and `ApiObject.toJson` give them
 */
export function yamlOf(docs: readonly object[]): string {
  return docs.map((doc) => `${collectionOf(doc, '')}\n`).join('---\n');
}
