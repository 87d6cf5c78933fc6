/**
 * The value of a key from outside. Inherited properties of objects (`constructor`, `toString`,
 * `__proto__`) are not entries.
 */
export function entryOf<Value>(
  record: Readonly<Record<string, Value>> | undefined,
  key: string,
): Value | undefined {
  return record !== undefined && Object.hasOwn(record, key) ? record[key] : undefined;
}

/** Sets an entry. An assignment to `__proto__` would replace the prototype instead. */
export function setEntry<Value>(record: Record<string, Value>, key: string, value: Value): void {
  if (key !== '__proto__') record[key] = value;
  else {
    const own = { value, enumerable: true, configurable: true, writable: true };
    Object.defineProperty(record, key, own);
  }
}

/** Has it entries? A list has none, and null neither. */
export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
