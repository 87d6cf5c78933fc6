import type { KubeObject, ManagedFields } from '../../../../runtime/cluster/kubernetes/client/api';
import {
  definitionWriter,
  isWrittenBy,
  takenOver,
} from '../../../../runtime/cluster/kubernetes/apply/field-owner';

const DEFINITION = { 'f:data': { 'f:definition.json': {} } };
const US = 'ai-model-service';

function object(...managedFields: readonly ManagedFields[]): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'iris--model', managedFields } };
}

const entry = (manager: string, more: Partial<ManagedFields> = {}): ManagedFields => ({
  manager,
  operation: 'Apply',
  fieldsV1: DEFINITION,
  ...more,
});
const at = (time: string): Partial<ManagedFields> => ({ time: `2026-01-01T00:00:${time}Z` });

test.each<readonly [string, readonly ManagedFields[], string | undefined]>([
  ['unknown without owners', [], undefined],
  ['us', [entry(US)], US],
  [
    'not the owner of other fields',
    [entry('argocd', { fieldsV1: { 'f:metadata': {} } }), entry(US)],
    US,
  ],
  ['the owner that came after us', [entry(US, at('09')), entry('kubectl', at('01'))], 'kubectl'],
  [
    'the owner that came after us without a change',
    [entry(US, at('09')), entry('kubectl')],
    'kubectl',
  ],
  ['the later of two others', [entry('a', at('01')), entry('b', at('02'))], 'b'],
  [
    'the manager that edited it',
    [entry(US, { fieldsV1: {} }), entry('kubectl-edit', { operation: 'Update' })],
    'kubectl-edit',
  ],
])('the writer of a definition is %s', (_, entries, expected) => {
  expect(definitionWriter(object(...entries))?.manager).toBe(expected);
});

test('a takeover owns every applied field, and leaves the fields of controllers', () => {
  const status = entry('kube-controller-manager', { operation: 'Update', subresource: 'status' });
  const argocd = entry('argocd', { fieldsV1: { 'f:spec': { 'f:a': {}, 'f:b': { 'f:c': {} } } } });
  const legacy = entry('kubectl-client-side-apply', {
    operation: 'Update',
    fieldsV1: { 'f:spec': { 'f:b': { 'f:d': {} } } },
  });
  expect(takenOver(object(argocd, legacy, status), US)).toEqual([
    {
      manager: US,
      operation: 'Apply',
      fieldsV1: { 'f:spec': { 'f:a': {}, 'f:b': { 'f:c': {}, 'f:d': {} } } },
    },
    status,
  ]);
});

test('an object of the manager alone is not taken over', () => {
  const scaled = entry('autoscaler', { operation: 'Update', subresource: 'scale' });
  expect(takenOver(object(entry(US), scaled), US)).toBeUndefined();
});

test('a status or a count does not make an object applied by its reporter', () => {
  const reported = object(entry('x', { operation: 'Update', subresource: 'status' }));
  expect(isWrittenBy(reported, 'x')).toBe(false);
  expect(isWrittenBy(object(entry('x')), 'x')).toBe(true);
});
