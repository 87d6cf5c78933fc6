import { readFile } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { keySchema, MAX_KEYS } from '../../lib/config';
import type { Fault } from '../../lib/spec';
import { checked, DefinitionError } from '../../lib/spec';
import { checkedText } from '../../lib/synth/textfile';
import { parseJson, parseYamlText } from '../../lib/synth/text';
import type { ListItem } from './key-list';
import { ListFault, listItems } from './key-list';
import type { ApiKey } from './keys';
import { apiKeyOf } from './keys';

/** A file of keys that cannot be used. The message shows no value: it may be a key. */
export class KeysFileError extends Error {
  override readonly name = 'KeysFileError';
}

/** Ten thousand keys of 800 bytes each. */
const MAX_BYTES = 8 * 1024 * 1024;
/** How long the event loop is held in one go. */
const SLICE_MS = 3;
/** Further faults are counted only. */
const MAX_FAULTS = 5;
/** After so many the rest is not read: a faulty item takes a millisecond. */
const MAX_COUNTED_FAULTS = 100;

/** Keys by the text of their items: what did not change is not read again. */
type KnownItems = ReadonlyMap<string, ApiKey>;

export interface LoadedKeys {
  /** By their digest. */
  readonly keys: ReadonlyMap<string, ApiKey>;
  readonly items: KnownItems;
}

export const NO_KEYS: LoadedKeys = { keys: new Map(), items: new Map() };

/** Values of these are shown; that of another field may be a key in the wrong place. */
const SHOWN = /^(?:scopes|expires)\b/;

function wordsOf({ path, message, got, allowed }: Fault): string {
  const isShown = got === undefined || SHOWN.test(path) || !message.startsWith('got ');
  const words = isShown ? message : `must be ${allowed}`;
  return path === '' ? words : `${path}: ${words}`;
}

/** @throws DefinitionError */
function valueOf(text: string, file: string): unknown {
  if (text.startsWith('{')) {
    try {
      return parseJson(text, file).value;
    } catch {
      // A mapping of YAML in braces.
    }
  }
  const value = parseYamlText(text, file)?.value;
  // An item in blocks is a list of one; a list within a list of JSON is not a key.
  const isItem = Array.isArray(value) && value.length === 1 && !text.startsWith('[');
  return isItem ? value[0] : value;
}

/** @throws DefinitionError */
function keyOfItem({ text }: ListItem, file: string): ApiKey {
  const bare = text.replace(/^\s*-\s*(?=\{)/, '').trim();
  return apiKeyOf(checked(keySchema, valueOf(bare.startsWith('{') ? bare : text, file), 'wire'));
}

/** Collects the faults of a file. */
class Faults {
  private readonly lines: string[] = [];
  private count = 0;

  constructor(private readonly file: string) {}

  add(line: number, words: string): void {
    this.count += 1;
    if (this.count <= MAX_FAULTS) this.lines.push(`${this.file}:${line}: ${words}`);
  }

  get areMany(): boolean {
    return this.count >= MAX_COUNTED_FAULTS;
  }

  /** @throws KeysFileError */
  check(): void {
    if (this.count === 0) return;
    const more = this.count - this.lines.length;
    const rest = more > 0 ? [`and ${more} ${this.areMany ? 'or more' : 'more'} faults`] : [];
    throw new KeysFileError([...this.lines, ...rest].join('\n'));
  }
}

/**
 * Reads the keys of a text, a slice at a time.
 * @param known items of the last good load
 * @param configured digests of keys that the configuration has
 * @throws KeysFileError
 */
export async function parseKeys(
  text: string,
  file: string,
  known: KnownItems = NO_KEYS.items,
  configured: ReadonlySet<string> = new Set(),
): Promise<LoadedKeys> {
  const faults = new Faults(file);
  const keys = new Map<string, ApiKey>();
  const items = new Map<string, ApiKey>();
  const take = (item: ListItem): void => {
    try {
      const key = known.get(item.text) ?? keyOfItem(item, file);
      const isTwice = keys.has(key.sha256) || configured.has(key.sha256);
      if (isTwice) faults.add(item.line, 'sha256: this key stands twice; remove one of the two');
      keys.set(key.sha256, key);
      items.set(item.text, key);
    } catch (error) {
      if (!(error instanceof DefinitionError)) throw error;
      for (const one of error.faults) faults.add(item.line + (one.line ?? 1) - 1, wordsOf(one));
    }
  };
  let began = performance.now();
  let walked = 0;
  try {
    for (const item of listItems(text)) {
      walked += 1;
      if (walked > MAX_KEYS) throw new ListFault(`has more than ${MAX_KEYS} keys`, item.line);
      take(item);
      if (faults.areMany) break;
      if (performance.now() - began < SLICE_MS) continue;
      await nextTurn();
      began = performance.now();
    }
  } catch (error) {
    if (!(error instanceof ListFault)) throw error;
    faults.add(error.line, error.message);
  }
  faults.check();
  return { keys, items };
}

/** A part of a JSON list is not one; a part of a YAML list may be, with fewer limits. */
const isCut = (text: string): boolean => text !== '' && !/^\s*\[|\n$/.test(text);

/** @throws KeysFileError when the file cannot be read */
export async function readKeysFile(
  path: string,
  file: string,
  known?: KnownItems,
  configured?: ReadonlySet<string>,
): Promise<LoadedKeys> {
  let text: string;
  try {
    const bytes = await readFile(path);
    if (bytes.length > MAX_BYTES) throw new Error(`has more than ${MAX_BYTES} bytes`);
    text = checkedText(bytes, file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const words = code === 'ENOENT' ? 'no such file; write [] into it for no keys' : message;
    throw new KeysFileError(`${file}: ${words}`);
  }
  const loaded = await parseKeys(text, file, known, configured);
  if (isCut(text)) {
    throw new KeysFileError(
      `${file}: the last line has no line feed: is the file cut? End the line`,
    );
  }
  return loaded;
}
