import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

export function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Makes renames and removals in a folder durable. */
export function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/**
 * Writes a whole file or nothing: to a file beside it, synced, then renamed, then the folder
 * synced. A `kill -9` or a power cut leaves the old content or the new one.
 */
export function writeWhole(file: string, content: string): void {
  const bytes = Buffer.from(content);
  const next = `${file}.next`;
  const handle = openSync(next, 'w', 0o600);
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(handle, bytes, at);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(next, file);
  syncFolder(dirname(file));
}
