import { objectsOf } from '../../../../lib/objects';
import { parseModel } from '../../../../lib/spec';
import type { KubeObject } from '../../../../runtime/cluster/kubernetes/client/api';
import type {
  ObjectsByKindName,
  PlanInput,
} from '../../../../runtime/cluster/kubernetes/apply/apply-plan';
import {
  isFullyApplied,
  kindNameOf,
  planDetails,
  planOf,
} from '../../../../runtime/cluster/kubernetes/apply/apply-plan';
import { ClusterError } from '../../../../runtime/cluster/port';
import { environment, withFile } from '../fake';

const definition = { id: 'iris', version: '1', framework: 'onnx', source: './m.onnx' };

const wantedOf = (more: object = {}): readonly KubeObject[] =>
  objectsOf(
    withFile(parseModel({ ...definition, ...more })),
    environment(),
  ) as readonly KubeObject[];

/** As the API server holds it: with what it fills in, and owners. */
function live(object: KubeObject, manager = 'ai-model-service', more: object = {}): KubeObject {
  const managedFields = [{ manager, operation: 'Apply' as const }];
  const metadata = { ...object.metadata, uid: 'u', managedFields, ...more };
  return { ...object, metadata, status: { replicas: 1 } };
}

const found = (objects: readonly KubeObject[]): ObjectsByKindName =>
  new Map(objects.map((object) => [kindNameOf(object), object]));

const ask = (more: Partial<PlanInput> = {}) =>
  planOf({
    slug: 'iris',
    wanted: wantedOf(),
    found: new Map(),
    managers: new Set(['ai-model-service']),
    kept: new Set(),
    ...more,
  });

const CANDIDATE = { candidates: [{ version: '2', traffic: 5 }] };
const extra = wantedOf(CANDIDATE).filter(({ metadata }) => metadata.name === 'iris--v2');

test('writes files first, then the definition, then the rest, in render order', () => {
  expect(ask().writes.map(({ do: what, object }) => `${what} ${kindNameOf(object)}`)).toEqual([
    expect.stringMatching(/^create ConfigMap\/iris--artifact-/) as unknown,
    'create ConfigMap/iris--model',
    'create ServiceAccount/iris',
    'create NetworkPolicy/iris',
    'create Deployment/iris',
    'create HorizontalPodAutoscaler/iris',
  ]);
});

test('keeps objects that match, whatever fields the API server has set', () => {
  const plan = ask({ found: found(wantedOf().map((object) => live(object))) });
  expect(plan.writes.map((write) => write.do)).toEqual(Array(6).fill('keep'));
  expect(planDetails(plan)).toEqual([]);
  expect(isFullyApplied(plan)).toBe(true);
});

test('lists a change field by field', () => {
  const plan = ask({
    found: found(wantedOf({ scaling: { maxReplicas: 7 } }).map((object) => live(object))),
  });
  const autoscaler = plan.writes.find(({ object }) => object.kind === 'HorizontalPodAutoscaler');
  expect(autoscaler?.changes).toContainEqual({ field: 'spec.maxReplicas', from: 7, to: 1 });
  expect(isFullyApplied(plan)).toBe(false);
});

test('counts drift alone as applied, and a missing object as not applied', () => {
  const all = wantedOf().map((object) => live(object));
  const drifted = all.map((object) =>
    object.kind === 'Deployment' ? { ...object, spec: { replicas: 3 } } : object,
  );
  expect(isFullyApplied(ask({ found: found(drifted) }))).toBe(true);
  expect(isFullyApplied(ask({ found: found(all.slice(1)) }))).toBe(false);
});

test.each<readonly [string, KubeObject[], Partial<PlanInput>, readonly string[]]>([
  [
    'an object of ours that the definition no longer has',
    extra.map((o) => live(o)),
    {},
    extra.map(kindNameOf),
  ],
  ['not what others wrote', extra.map((o) => live(o, 'anna')), {}, []],
  [
    'an object of the manager that is taken over from',
    extra.map((o) => live(o, 'argocd')),
    { managers: new Set(['ai-model-service', 'argocd']) },
    extra.map(kindNameOf),
  ],
  [
    'not what is of another model',
    extra.map((o) => live(o, undefined, { labels: { 'ai-model.suoke.life/model': 'other' } })),
    {},
    [],
  ],
  [
    'not what is on its way already',
    extra.map((o) => live(o, undefined, { deletionTimestamp: 'x' })),
    {},
    [],
  ],
  [
    'not what an earlier revision needs',
    extra.map((o) => live(o)),
    { kept: new Set(extra.map(kindNameOf)) },
    [],
  ],
])('prunes: %s', (_, objects, more, expected) => {
  const all = [...wantedOf().map((object) => live(object)), ...objects];
  expect(ask({ found: found(all), ...more }).prunes.map(kindNameOf)).toEqual(expected);
});

test.each([
  ['of another model', { labels: { 'ai-model.suoke.life/model': 'other' } }],
  ['of no model', { labels: {} }],
])('is refused as a whole for a name that is taken by something %s', (_, more) => {
  const taken = wantedOf().filter(({ kind }) => kind === 'Deployment' || kind === 'ServiceAccount');
  const plan = (): unknown => ask({ found: found(taken.map((object) => live(object, 'x', more))) });
  expect(plan).toThrow(ClusterError);
  expect(plan).toThrow(/ServiceAccount\/iris, Deployment\/iris.*not labelled as model iris/);
});

test('details list the work without the bytes of files', () => {
  const details = planDetails(ask({ found: found(extra.map((object) => live(object))) }));
  expect(details.slice(-2)).toEqual([
    { do: 'remove', object: 'Deployment/iris--v2' },
    { do: 'remove', object: 'HorizontalPodAutoscaler/iris--v2' },
  ]);
  expect(details[0]).toMatchObject({ do: 'create', manifest: { binaryData: ['m.onnx'] } });
});
