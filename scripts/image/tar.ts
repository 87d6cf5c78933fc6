import { readFileSync } from 'node:fs';
import { Header } from 'tar';
import type { Item } from './items';
import { complete, FILE_MODE, FOLDER_MODE } from './items';

const BLOCK = 512;
/** Two empty blocks end an archive. */
const END = Buffer.alloc(2 * BLOCK);

type Fields = ConstructorParameters<typeof Header>[0];

/** Everything belongs to root and has no date, so that equal content gives equal bytes. */
function header(path: string, fields: Fields): Buffer {
  const block = Buffer.alloc(BLOCK);
  const plain = { uid: 0, gid: 0, mtime: new Date(0), size: 0 };
  const one = new Header({ ...plain, ...fields, path: path.slice(1) });
  if (one.encode(block, 0)) throw new Error(`${path}: too long for a ustar header; shorten it`);
  return block;
}

function fileBlocks(path: string, content: Buffer, mode = FILE_MODE): readonly Buffer[] {
  const padding = Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK);
  return [header(path, { type: 'File', size: content.length, mode }), content, padding];
}

function blocksOf(item: Item): readonly Buffer[] {
  if ('file' in item) return fileBlocks(item.to, readFileSync(item.file), item.mode);
  if ('text' in item) return fileBlocks(item.to, Buffer.from(item.text), item.mode);
  if ('link' in item) {
    return [header(item.to, { type: 'SymbolicLink', linkpath: item.link, mode: 0o777 })];
  }
  return [header(`${item.to}/`, { type: 'Directory', mode: item.mode ?? FOLDER_MODE })];
}

/** A tar of the items and the folders above them; the same items give the same bytes. */
export function tarOf(items: readonly Item[]): Buffer {
  return Buffer.concat([...complete(items).flatMap(blocksOf), END]);
}

/** A tar of named contents, in the order given. */
export function tarOfBlobs(blobs: readonly (readonly [name: string, content: Buffer])[]): Buffer {
  const files = blobs.flatMap(([name, content]) => fileBlocks(`/${name}`, content));
  return Buffer.concat([...files, END]);
}
