import type { Fault } from '../spec';
import { fault } from '../spec';
import { didYouMean } from '../spec/closest';
import { pathText } from '../spec/path';
import fields from './fields.json';
import { entryOf, isObject } from '../spec/entry';

// Made by scripts/fields.ts from the newest Kubernetes at hand: `[X` is a list of X, `{X` a map to
// X.
const KINDS: Readonly<Record<string, string>> = fields.kinds;
const TYPES: Readonly<Record<string, Readonly<Record<string, string>>>> = fields.types;

/** Fields of type string in Kubernetes' schemas that accept numbers, too. */
const QUANTITIES = new Set([
  'limits',
  'requests',
  'capacity',
  'sizeLimit',
  'averageValue',
  'value',
]);

type Path = readonly PropertyKey[];

const wrong = (path: Path, value: unknown, allowed: string): readonly Fault[] => [
  fault(pathText(path), value, allowed, 'correct it'),
];

function scalarFaults(type: string, value: unknown, path: Path): readonly Fault[] {
  const quantity = typeof value === 'number' && path.some((part) => QUANTITIES.has(String(part)));
  if (type === 'string') {
    return typeof value === 'string' || quantity ? [] : wrong(path, value, 'a string');
  }
  if (type === 'number') return typeof value === 'number' ? [] : wrong(path, value, 'a number');
  if (type === 'boolean') {
    return typeof value === 'boolean' ? [] : wrong(path, value, 'true or false');
  }
  if (type === 'IntOrString' && !['number', 'string'].includes(typeof value)) {
    return wrong(path, value, 'a number or a string');
  }
  return [];
}

function fieldFaults(type: string, value: unknown, path: Path): readonly Fault[] {
  const known = entryOf(TYPES, type) ?? {};
  if (!isObject(value)) return wrong(path, value, 'an object');
  return Object.entries(value).flatMap(([key, inner]) => {
    const field = entryOf(known, key);
    if (field !== undefined) return faultsIn(field, inner, [...path, key]);
    const fix = didYouMean(key, Object.keys(known)) ?? 'remove it';
    const allowed = `a field of ${type.replace(/^V[0-9]/, '')}`;
    return [fault(pathText([...path, key]), inner, allowed, fix)];
  });
}

function faultsIn(type: string, value: unknown, path: Path): readonly Fault[] {
  // In a merge patch null removes.
  if (value === null) return [];
  const inner = type.slice(1);
  if (type.startsWith('[')) {
    if (!Array.isArray(value)) return wrong(path, value, 'a list');
    return value.flatMap((item, index) => faultsIn(inner, item, [...path, index]));
  }
  if (type.startsWith('{')) {
    if (!isObject(value)) return wrong(path, value, 'an object');
    return Object.entries(value).flatMap(([key, item]) => faultsIn(inner, item, [...path, key]));
  }
  return entryOf(TYPES, type) === undefined
    ? scalarFaults(type, value, path)
    : fieldFaults(type, value, path);
}

/** Fields of an override that Kubernetes does not have, or has with another type. */
export function unknownFields(kind: string, patch: unknown): readonly Fault[] {
  const type = entryOf(KINDS, kind);
  return type === undefined ? [] : faultsIn(type, patch, ['overrides', kind]);
}
