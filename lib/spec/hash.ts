import { createHash } from 'node:crypto';
import type { WireModel } from './wire';

/** The same value with the keys of every object sorted; undefined fields are left out. */
export function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value)
    .filter(([, inner]) => inner !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, canonical(inner)]));
}

/** Characters of a hash in names and annotations: 64 bits, enough against accidents. */
const HASH_CHARACTERS = 16;

/** What tells two definitions apart: equal definitions have equal hashes, however they were written. */
export function definitionHash(definition: WireModel): string {
  const text = JSON.stringify(canonical(definition));
  return createHash('sha256').update(text).digest('hex').slice(0, HASH_CHARACTERS);
}
