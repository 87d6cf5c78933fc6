import { chmodSync, copyFileSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Item, Layer } from './items';
import { complete, FILE_MODE, FOLDER_MODE } from './items';

function place(item: Item, path: string): void {
  if ('link' in item) return symlinkSync(item.link, path);
  if ('file' in item) copyFileSync(item.file, path);
  else if ('text' in item) writeFileSync(path, item.text);
  else mkdirSync(path, { recursive: true });
  // By chmod: what a call creates is cut by the umask.
  chmodSync(path, item.mode ?? ('folder' in item ? FOLDER_MODE : FILE_MODE));
}

/** Writes each layer as a directory tree of its own: `folder/<layer>/…`. Replaces what was there. */
export function writeTrees(layers: readonly Layer[], folder: string): void {
  for (const { name, items } of layers) {
    const root = join(folder, name);
    rmSync(root, { recursive: true, force: true });
    mkdirSync(root, { recursive: true });
    for (const item of complete(items)) place(item, join(root, item.to));
  }
}
