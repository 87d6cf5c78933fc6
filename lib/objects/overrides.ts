import type { ModelSpec } from '../spec';
import { canonical, DefinitionError, fault, mergePatch } from '../spec';
import type { Fault } from '../spec';
import { unknownFields } from './check';
import type { KubeObject } from './kube';
import { finished } from './kube';
import { entryOf } from '../spec/entry';

type Plain = Readonly<Record<string, unknown>>;

const at = (value: unknown, ...path: readonly string[]): unknown =>
  path.reduce<unknown>(
    (inner, key) =>
      typeof inner === 'object' && inner !== null ? entryOf(inner as Plain, key) : undefined,
    value,
  );

const same = (a: unknown, b: unknown): boolean =>
  JSON.stringify(canonical(a)) === JSON.stringify(canonical(b));

/**
 * Fields that tie objects together; a changed object would lose its owner or conflict with the
 * autoscaler.
 */
const FIXED: readonly (readonly string[])[] = [
  ['apiVersion'],
  ['kind'],
  ['metadata', 'name'],
  ['metadata', 'namespace'],
  ['spec', 'selector'],
  ['spec', 'replicas'],
  ['spec', 'scaleTargetRef'],
];
const LABELS: readonly (readonly string[])[] = [
  ['metadata', 'labels'],
  ['spec', 'template', 'metadata', 'labels'],
];

const OURS = /^(?:ai-model\.suoke\.life|app\.kubernetes\.io)\//;

const ours = (labels: unknown): Plain =>
  Object.fromEntries(Object.entries(labels ?? {}).filter(([key]) => OURS.test(key)));

function fixedFaults(kind: string, before: KubeObject, after: unknown): readonly Fault[] {
  const changed = FIXED.filter((path) => !same(at(before, ...path), at(after, ...path)));
  const relabelled = LABELS.filter(
    (path) => !same(ours(at(before, ...path)), ours(at(after, ...path))),
  );
  return [...changed, ...relabelled].map((path) =>
    fault(
      ['overrides', kind, ...path].join('.'),
      at(after, ...path),
      'left as it is (it ties the objects of a model together)',
      path.includes('replicas') ? 'use `scaling`' : 'remove it',
    ),
  );
}

function unusedFault(kind: string, patch: unknown, found: number): Fault {
  return found === 0
    ? fault(`overrides.${kind}`, patch, `absent: this model has no ${kind} here`, 'remove it')
    : fault(`overrides.${kind}`, patch, 'a patch that changes something', 'remove it');
}

/**
 * Lays each override on every finished object of its kind.
 * @throws DefinitionError for a patch that changes nothing, breaks the ties of objects, or names no
 * field
 */
export function withOverrides(
  { overrides }: ModelSpec,
  objects: readonly KubeObject[],
): readonly KubeObject[] {
  const faults: Fault[] = [];
  const patched = new Map<KubeObject, KubeObject>();
  for (const [kind, patch] of Object.entries(overrides)) {
    const before = objects.filter((object) => object.kind === kind);
    const after = before.map((object) => mergePatch(object, patch) as KubeObject);
    if (after.every((object, index) => same(object, before[index]))) {
      faults.push(unusedFault(kind, patch, before.length));
    }
    // Reports each fixed field once, for all objects of the kind.
    const fixed = before.flatMap((object, index) => fixedFaults(kind, object, after[index]));
    faults.push(...new Map(fixed.map((one) => [one.path, one])).values());
    if (before.length > 0) faults.push(...unknownFields(kind, patch));
    before.forEach((object, index) => patched.set(object, after[index] ?? object));
  }
  if (faults.length > 0) throw new DefinitionError(faults);
  return objects.map((object) => {
    const changed = patched.get(object);
    return changed === undefined ? object : finished(changed);
  });
}
