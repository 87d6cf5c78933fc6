import { objectsOf } from '../../../../lib/objects';
import { parseModel } from '../../../../lib/spec';
import type { KubeObject } from '../../../../runtime/cluster/kubernetes/client/api';
import type { CachedModel } from '../../../../runtime/cluster/kubernetes/cache/namespace-cache';
import { readDefinition } from '../../../../runtime/cluster/kubernetes/apply/stored-definition';
import type { ReconcileAction } from '../../../../runtime/cluster/kubernetes/apply/reconciler';
import { reconcileActionOf } from '../../../../runtime/cluster/kubernetes/apply/reconciler';
import { slugOfEvent } from '../../../../runtime/cluster/kubernetes/cache/slugs';
import { environment } from '../fake';

const made = (version: string): readonly KubeObject[] => {
  const spec = parseModel({ id: 'iris', version, framework: 'onnx', source: 's3://m/iris.onnx' });
  return objectsOf(spec, environment()) as readonly KubeObject[];
};
const definition = (more: object = {}) => {
  const holder = made('2').find(({ metadata }) => metadata.name === 'iris--model') as KubeObject;
  return { ...readDefinition(holder), manager: 'rest', ...more };
};
const deployments = (version: string): readonly KubeObject[] =>
  made(version).filter(({ kind }) => kind === 'Deployment');

const { hash } = definition();
const well: Partial<CachedModel> = { definition: definition(), deployments: deployments('2') };
const NOTHING = { states: [] };

interface Row {
  readonly model?: Partial<CachedModel>;
  readonly overrides?: Parameters<typeof reconcileActionOf>[0]['overrides'];
  readonly gitops?: boolean;
}

test.each<readonly [string, Row, ReconcileAction | undefined]>([
  ['all is well', { model: well }, undefined],
  [
    'its Deployment is of an earlier revision',
    { model: { ...well, deployments: deployments('1') } },
    'finish',
  ],
  ['it has no Deployment', { model: { ...well, deployments: [] } }, 'finish'],
  [
    'unused overrides are left',
    { model: { ...well, deployments: [...deployments('1'), ...deployments('2')] } },
    'finish',
  ],
  [
    'it goes',
    { model: { definition: definition({ deleting: true }), deployments: [] } },
    undefined,
  ],
  [
    'it is Git’s',
    { model: { definition: definition({ manager: 'argocd' }), deployments: [] } },
    undefined,
  ],
  ['Git writes everything', { model: { ...well, deployments: [] }, gitops: true }, undefined],
  [
    'its own state is remembered',
    { model: well, overrides: { states: [{ hash, stopped: true }] } },
    undefined,
  ],
  [
    'an earlier one’s state is remembered',
    { model: well, overrides: { states: [{ hash: 'x' }] } },
    'reconcile',
  ],
  [
    'it is being started',
    { model: well, overrides: { states: [], starting: true }, gitops: true },
    'reconcile',
  ],
  [
    'a model is gone that something is remembered of',
    { overrides: { states: [{ hash }] } },
    'forget',
  ],
  ['there is nothing', {}, undefined],
])('when %s: %#', (_, { model, overrides = NOTHING, gitops = false }, expected) => {
  expect(reconcileActionOf({ model: model as CachedModel | undefined, overrides, gitops })).toBe(
    expected,
  );
});

test.each([
  ['Pod', 'deep-tcm-5f6d8-x7k2p', 'deep-tcm'],
  ['Pod', 'iris--v2-5f6d8-x7k2p', 'iris'],
  ['ReplicaSet', 'iris--v2-5f6d8', 'iris'],
  ['Deployment', 'deep-tcm', 'deep-tcm'],
  ['HorizontalPodAutoscaler', 'iris--v2', 'iris'],
  ['Node', 'x', 'x'],
  ['Pod', '', ''],
])('an event of %s %s is about model %s', (kind, name, expected) => {
  const event = { apiVersion: 'v1', kind: 'Event', metadata: { name: 'e' } };
  expect(slugOfEvent({ ...event, involvedObject: { kind, name } })).toBe(expected);
});
