import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { definitionHash } from '../../../lib/spec';
import type {
  DefinitionRecord,
  ObservedObjects,
} from '../../../runtime/cluster/kubernetes/cache/model-record';
import { recordOf } from '../../../runtime/cluster/kubernetes/cache/model-record';
import type { ModelRecord } from '../../../runtime/core/lifecycle/snapshot';
import { specOf } from '../../support/manifests';

export type Plain = Readonly<Record<string, unknown>>;

/** What a real cluster said of a model; record.ts made it. */
export interface Recorded extends Omit<ObservedObjects, 'metrics' | 'now'> {
  readonly definition: Plain;
}

export function recorded(name: string): Recorded {
  const file = join(__dirname, 'recorded', `${name}.json`);
  return JSON.parse(readFileSync(file, 'utf8')) as Recorded;
}

/** Of 2026-11-25: when the objects were recorded. */
export const RECORDED_AT = Date.parse('2026-11-25T22:30:00Z');

export function heldOf(definition: Plain, more: Partial<DefinitionRecord> = {}): DefinitionRecord {
  const spec = specOf(definition);
  const hash = definitionHash(spec.definition);
  const at = { createdAt: RECORDED_AT, updatedAt: RECORDED_AT };
  return { spec, hash, revision: 1, manager: 'rest', deleting: false, ...at, ...more };
}

export function recordFrom(
  { definition, ...objects }: Recorded,
  seen: Partial<ObservedObjects> = {},
  held: Partial<DefinitionRecord> = {},
): ModelRecord {
  return recordOf(heldOf(definition, held), { ...objects, now: RECORDED_AT, ...seen });
}
