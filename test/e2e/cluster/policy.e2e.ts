import { objectsOf } from '../../../lib/objects';
import type { ModelInput } from '../../../lib/spec';
import { parseModel } from '../../../lib/spec';
import type { KubeApi } from '../../../runtime/cluster/kubernetes/client/api';
import { openKubernetes } from '../../../runtime/cluster/kubernetes/client/client';
import * as attacks from '../../support/attacks';
import type { Answer } from '../service';
import { call, until } from '../service';
import { monitoringKinds } from './support/crds';
import { apply } from './support/kubectl';
import type { Place } from './support/place';
import { install } from './support/place';
import { refusals } from './support/refusals';
import { standIn } from './support/standin';
import { standingBeside, standingIn } from './support/standing';

// Every attack of the table by REST, on the service as it runs: each is refused and names its field,
// and the cluster is afterwards what it was before.

const MODELS = '/api/v1/models';
const IRIS = `${MODELS}/iris`;
const DEPLOY = `${MODELS}/deploy`;

const config = {
  models: {
    allowedRegistries: attacks.ALLOWED_REGISTRIES,
    allowedHosts: attacks.ALLOWED_HOSTS,
  },
  kubernetes: { allowedSecrets: attacks.ALLOWED_SECRETS, allowedClasses: ['nobodys'] },
};

let place: Place;
let api: KubeApi;
let removeKinds: () => Promise<unknown>;
/** What the namespace holds, and what speaks of it elsewhere. */
let standing: object;
let beside: object;
beforeAll(async () => {
  removeKinds = await monitoringKinds();
  place = await install('policy', { props: { config }, environment: attacks.EVERYTHING });
  ({ api } = await openKubernetes({}));
  beside = await elsewhere();
  const made = await as('writer', 'POST', DEPLOY, fullModel('iris'));
  if (made.status !== 202) throw new Error(`a writer may have a model: ${made.text}`);
  // Its pods wait for their volume and stay as they are.
  const pods = (): Promise<string> =>
    place.kubectl('get', 'pods', '-l', 'ai-model.suoke.life/model=iris', '-o', 'name');
  await until('all pods', pods, (names) => names.trim().split('\n').length === 5, 60_000);
  await writePast(TAMPERED);
  standing = await inside();
});
afterAll(async () => {
  api.close();
  await place.end();
  await removeKinds();
});

const inside = (): Promise<object> => standingIn(api, place.namespace);
const elsewhere = (): Promise<object> => standingBeside(api, place.namespace, /iris|rose/);

type Who = 'writer' | 'admin';

const as = (who: Who, method: string, path: string, model: object): Promise<Answer> =>
  call(
    place.url + path,
    method,
    { config: model },
    undefined,
    who === 'admin' ? place.key : place.writer,
  );

/** The model that has every kind of object, with names of its own, on a volume that never comes. */
const fullModel = (id: string): object => ({
  id,
  version: 'v1',
  ...(JSON.parse(JSON.stringify(attacks.FULL).replaceAll('iris--', `${id}--`)) as object),
  cache: { size: '1Gi', storageClass: 'nobodys' },
});

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([, inner]) => inner !== null);
  return Object.fromEntries(kept.map(([key, inner]) => [key, withoutNulls(inner)]));
}

/** The same attack on a model that is there, and by one that is not there yet. */
async function attempts(who: Who, more: object): Promise<readonly [Answer, Answer]> {
  // Null takes a field away; within an override it is kept, and takes it from the object.
  const { overrides, ...rest } = { ...fullModel('rose'), ...more } as Record<string, unknown>;
  const rose = { ...(withoutNulls(rest) as object), ...(overrides !== undefined && { overrides }) };
  return [await as(who, 'PUT', IRIS, more), await as(who, 'POST', DEPLOY, rose)];
}

/** It would have the service's own keys in its environment. */
const TAMPERED = standIn(
  'tampered',
  {},
  {
    env: { KEYS: { secret: 'ai-model-service-keys', key: 'keys.yaml' } },
    candidates: [{ version: 'v2', traffic: 10 }],
  },
);
const EDITOR = 'editor-of-configmaps';

/** By somebody who may write ConfigMaps and nothing else, and calls himself as the service does. */
async function writePast(model: ModelInput): Promise<void> {
  const rights = ['--verb=get,create,patch', '--resource=configmaps'];
  await place.kubectl('create', 'role', EDITOR, ...rights);
  await place.kubectl('create', 'rolebinding', EDITOR, `--role=${EDITOR}`, `--user=${EDITOR}`);
  const made = objectsOf(parseModel(model), place.environment);
  const isDefinition = ({ kind }: { readonly kind: string }): boolean => kind === 'ConfigMap';
  await apply(made.filter(isDefinition), '--field-manager=ai-model-service', `--as=${EDITOR}`);
  const rest = made.filter((object) => !isDefinition(object));
  await expect(apply(rest, `--as=${EDITOR}`)).rejects.toThrow(/forbidden/i);
  await place.status(model.id, () => true);
}

interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly paths: readonly string[];
}

function refusalIn(answer: Answer): Refusal {
  const { error } = answer.json() as {
    readonly error?: { code: string; message: string; details?: readonly { path: string }[] };
  };
  const { code = '', message = answer.text, details = [] } = error ?? {};
  return { status: answer.status, code, message, paths: details.map(({ path }) => path) };
}

/** Nothing of the namespace is another after it. */
async function unchanged(attack: () => Promise<void>): Promise<void> {
  await attack();
  const before = standing;
  standing = await inside();
  expect(standing).toEqual(before);
}

const INVALID = { status: 400, code: 'INVALID_MODEL_CONFIG' };
const KEYS: readonly Who[] = ['writer', 'admin'];

async function refusedAt(definition: object, path: string): Promise<void> {
  for (const who of KEYS)
    for (const answer of await attempts(who, definition)) {
      const refused = refusalIn(answer);
      expect(refused).toMatchObject(INVALID);
      expect(refused.paths.filter((one) => one.startsWith(path))).not.toEqual([]);
    }
}

test.each([...attacks.POD_ATTACKS, ...attacks.OBJECT_ATTACKS])(
  '%s (%s): is refused by REST with any key',
  (_, target, patch) =>
    unchanged(async () => {
      const [kind = target] = target.split('/');
      await refusedAt({ overrides: { [kind]: patch } }, 'overrides');
    }),
);

test.each(attacks.FOREIGN_KINDS)('a model gets no %s from any caller', (kind) =>
  unchanged(() =>
    refusedAt({ overrides: { [kind]: { metadata: { name: 'iris' } } } }, 'overrides'),
  ),
);

test.each(attacks.ASKINGS)('REST gives no access to %s', (_, definition, path) =>
  unchanged(() => refusedAt(definition, path.replace(/\.uri$/, ''))),
);

test.each([
  ['of the service', 'ai-model-service', 'INVALID_MODEL_CONFIG'],
  ['of another manager’s object', 'default', 'FIELD_CONFLICT'],
])('a model does not get the name %s', (_, id, code) =>
  unchanged(async () => {
    const refused = refusalIn(await as('writer', 'POST', DEPLOY, fullModel(id)));
    expect(refused.code).toBe(code);
    expect(refused.message).toContain(id);
  }),
);

test.each([
  ['the same again', 'POST', DEPLOY, { config: TAMPERED }],
  ['an update', 'PUT', `${MODELS}/tampered`, { config: { version: 'v3' } }],
  ['a scale', 'POST', `${MODELS}/tampered/scale`, { replicas: 2 }],
])('a definition written past the service is not applied by %s', (_, method, path, body) =>
  unchanged(async () => {
    const answer = await call(place.url + path, method, body, undefined, place.writer);
    const refused = refusalIn(answer);
    expect(refused).toMatchObject(INVALID);
    expect(
      refused.paths.filter((one) => one.endsWith('environment_variables.KEYS.secret')),
    ).not.toEqual([]);
  }),
);

test('a promotion and the reconciler do not apply it either', async () => {
  const promote = `${place.url}${MODELS}/tampered/promote`;
  const answer = await call(promote, 'POST', { candidate: 'v2' }, undefined, place.writer);
  expect([202, 400, 409]).toContain(answer.status);
  const said =
    /model tampered: .*environment_variables\.KEYS\.secret: got \\?"ai-model-service-keys/;
  await until('the refusal', place.logs, (text) => said.test(text), 90_000);
  const found = ['get', 'deployments', '-l', 'ai-model.suoke.life/model=tampered', '-o', 'name'];
  expect(await place.kubectl(...found)).toBe('');
});

test('nothing of it is elsewhere in the cluster, and the rights were sufficient', async () => {
  expect(await elsewhere()).toEqual(beside);
  const answers = /"caller":"writer"/;
  expect((await refusals(place)).filter((line) => !answers.test(line))).toEqual([]);
});
