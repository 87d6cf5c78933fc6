import { createHash } from 'node:crypto';
import type { WireModel } from './wire';
import { entryOf, setEntry } from './entry';

/** The same value with the keys of every object sorted; undefined fields are left out. */
export function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value;
  // Plain loops: every object of every manifest passes here.
  const sorted: Record<string, unknown> = {};
  for (const key of Object.keys(value).sort()) {
    const inner = entryOf(value as Readonly<Record<string, unknown>>, key);
    if (inner !== undefined) setEntry(sorted, key, canonical(inner));
  }
  return sorted;
}

/** Characters of a hash in names and annotations: 64 bits, enough against accidents. */
const HASH_CHARACTERS = 16;

/**
 * Identity of a definition: equal definitions have equal hashes, in whatever form they were
 * written.
 */
export function definitionHash(definition: WireModel): string {
  const text = JSON.stringify(canonical(definition));
  return createHash('sha256').update(text).digest('hex').slice(0, HASH_CHARACTERS);
}
