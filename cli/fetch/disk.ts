import { statfs } from 'node:fs/promises';
import { SourceError } from './entry';

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** 1536 → `1.5 KiB`. */
export function sizeText(bytes: number): string {
  const power = bytes < 1024 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 ? value : value.toFixed(1)} ${UNITS[power]}`;
}

/** Free bytes on the disk of a folder, for a process without privileges. */
export async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

/**
 * A full disk evicts other pods of the node, so free space is checked first.
 * @throws SourceError when there is less room than needed
 */
export async function expectRoom(
  what: string,
  needed: number,
  folder: string,
  free: (folder: string) => Promise<number> = freeBytes,
): Promise<void> {
  const there = await free(folder);
  if (needed <= there) return;
  throw new SourceError(
    `${what}: needs ${sizeText(needed)}, and ${folder} has ${sizeText(there)} free; ` +
      'give the node more disk, or keep the artifact on a volume (cache of the definition)',
  );
}
