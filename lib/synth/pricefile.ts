import { statSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import type { Fault, Form, PriceFile } from '../spec';
import { checked, DefinitionError, environmentSchema, fault, priceFileSchema } from '../spec';
import { isObject } from '../spec/entry';
import { fieldsOf } from '../spec/wire';
import { fileFault } from './errors';
import { loadValue } from './load';
import { withLines } from './text';

/**
 * Prices of a file: YAML or JSON, in either form.
 * @throws DefinitionError with every fault, the file and its lines
 */
async function loadPrices(file: string): Promise<PriceFile> {
  if (!/\.(?:ya?ml|json)$/i.test(file)) {
    throw new DefinitionError(
      [fileFault('is not a file of prices; name one in YAML or JSON')],
      file,
    );
  }
  const located = await loadValue(file);
  try {
    return checked(priceFileSchema, located.value, 'wire', file);
  } catch (error) {
    throw error instanceof DefinitionError ? withLines(error, file, located) : error;
  }
}

/**
 * An unparsed environment with the prices of its `prices.file` under its own, key by key.
 * @param folder the folder of the environments
 * @throws DefinitionError when the file cannot be read, is outside the folder, or has faults
 */
export async function withPriceFile(value: unknown, folder: string, form: Form): Promise<unknown> {
  const faults: Fault[] = [];
  const given = form === 'wire' ? fieldsOf(environmentSchema, value, faults) : value;
  const prices = isObject(given) ? given['prices'] : undefined;
  // The parser refuses what is not an environment.
  if (faults.length > 0 || !isObject(given) || !isObject(prices)) return value;
  const { file, ...own } = prices;
  if (typeof file !== 'string') return value;
  const read = await loadPrices(pathOf(file, folder));
  const merged = (key: 'gpuHour' | 'storageClasses') => {
    const above = own[key];
    return isObject(above) ? { [key]: { ...read[key], ...above } } : {};
  };
  return {
    ...given,
    prices: { ...read, ...own, ...merged('gpuHour'), ...merged('storageClasses') },
  };
}

/** A plan compares revisions of the folder, so the file belongs to it. */
function pathOf(file: string, folder: string): string {
  const path = resolve(folder, file);
  const isFile = statSync(path, { throwIfNoEntry: false })?.isFile() === true;
  if (isFile && !relative(folder, path).startsWith('..')) return path;
  const allowed = 'an existing file in the folder of the environments or below';
  throw new DefinitionError([fault('prices.file', file, allowed, 'put it there')]);
}
