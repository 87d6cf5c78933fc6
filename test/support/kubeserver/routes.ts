import type { KubeObject } from '../../../runtime/cluster/kubernetes/client/api';
import type { Resource } from '../../../runtime/cluster/kubernetes/client/resources';
import { apiVersionOf, RESOURCES } from '../../../runtime/cluster/kubernetes/client/resources';
import type { Ask, Reply, Stream } from '../apiserver';
import { failure, statusOf } from '../apiserver';
import { isObject, mergePatch } from './fields';
import type { Matches } from './selectors';
import { fieldSelector, labelSelector } from './selectors';
import type { Change, Store, Writing } from './store';
import { Refusal } from './store';

/** What a path names. */
interface Target {
  readonly resource: Resource;
  readonly namespace: string;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

const PATH =
  /^\/(?:api|apis\/([^/]+))\/([^/]+)\/namespaces\/([^/]+)\/([^/]+)(?:\/([^/]+)(?:\/(scale|status))?)?$/;

function targetOf({ path }: Ask): Target {
  const [, group = '', version, namespace = '', plural, name, subresource] = PATH.exec(path) ?? [];
  const all: readonly Resource[] = Object.values(RESOURCES);
  const resource = all.find(
    (one) => one.group === group && one.version === version && one.plural === plural,
  );
  if (resource !== undefined) return { resource, namespace, name, subresource };
  throw new Refusal(404, 'NotFound', 'the server could not find the requested resource');
}

function writingOf({ query }: Ask, { subresource }: Target): Writing {
  const manager = query.get('fieldManager') ?? 'unknown';
  const dryRun = query.get('dryRun') === 'All';
  return {
    manager,
    dryRun,
    force: query.get('force') === 'true',
    ...(subresource && { subresource }),
  };
}

const bodyOf = ({ body }: Ask): KubeObject => JSON.parse(body) as KubeObject;

/** The server refuses a body that is not what its path says. */
function checked(ask: Ask, { resource, namespace, name }: Target): KubeObject {
  const object = bodyOf(ask);
  const { metadata } = object;
  const isRight =
    object.kind === resource.kind &&
    object.apiVersion === apiVersionOf(resource) &&
    (name === undefined || metadata.name === name) &&
    (metadata.namespace ?? namespace) === namespace;
  if (isRight) return object;
  throw new Refusal(400, 'BadRequest', 'the object does not match what the path names');
}

/** `autoscaling/v1 Scale` of a Deployment. */
function scaleOf({ metadata, spec, status }: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion } = metadata;
  const count = (value: unknown): unknown => (isObject(value) ? (value.replicas ?? 0) : 0);
  return {
    apiVersion: 'autoscaling/v1',
    kind: 'Scale',
    metadata: { name, namespace, uid, resourceVersion },
    spec: { replicas: count(spec) },
    status: { replicas: count(status) },
  };
}

function scaled(store: Store, ask: Ask, target: Target): KubeObject {
  const { resource, namespace, name = '' } = target;
  const before = store.get(resource, namespace, name);
  if (ask.method === 'GET') return scaleOf(before);
  const wish = ask.method === 'PUT' ? bodyOf(ask) : mergePatch(scaleOf(before), bodyOf(ask));
  const { spec, metadata } = wish as KubeObject & { readonly spec: { readonly replicas: number } };
  const { resourceVersion } = metadata;
  const patch = { metadata: { resourceVersion }, spec: { replicas: spec.replicas } };
  return scaleOf(store.patch(resource, namespace, name, patch, writingOf(ask, target)));
}

function written(store: Store, ask: Ask, target: Target): KubeObject {
  const { resource, namespace, name = '' } = target;
  const writing = writingOf(ask, target);
  if (target.subresource === 'scale') return scaled(store, ask, target);
  if (ask.method === 'GET') return store.get(resource, namespace, name);
  if (ask.method === 'POST')
    return store.create(resource, namespace, checked(ask, target), writing);
  if (ask.method === 'PUT')
    return store.replace(resource, namespace, checked(ask, target), writing);
  if (ask.headers['content-type'] === 'application/merge-patch+json')
    return store.patch(resource, namespace, name, bodyOf(ask), writing);
  if (ask.headers['content-type'] !== 'application/apply-patch+yaml')
    throw new Refusal(415, 'UnsupportedMediaType', 'this patch is not known');
  if (!ask.query.has('fieldManager'))
    throw new Refusal(422, 'Invalid', 'fieldManager: Required value: is required for apply patch');
  return store.apply(resource, namespace, checked(ask, target), writing);
}

interface DeleteOptions {
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
  readonly propagationPolicy?: string;
  readonly dryRun?: readonly string[];
}

function removed(store: Store, ask: Ask, { resource, namespace, name = '' }: Target): object {
  const options = (ask.body === '' ? {} : JSON.parse(ask.body)) as DeleteOptions;
  const orphan = options.propagationPolicy === 'Orphan';
  const dryRun = options.dryRun?.includes('All') === true;
  store.remove(resource, namespace, name, { ...options.preconditions, orphan, dryRun });
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' };
}

function matcher({ query }: Ask): Matches {
  const byLabels = labelSelector(query.get('labelSelector') ?? '');
  const byFields = fieldSelector(query.get('fieldSelector') ?? '');
  return (object) => byLabels(object) && byFields(object);
}

/** Pages of one moment, however the world goes on between them. */
export class Pages {
  readonly #rest = new Map<string, { version: number; items: readonly KubeObject[] }>();

  /** Tokens of before are answered with 410. */
  expire(): void {
    this.#rest.clear();
  }

  list(store: Store, ask: Ask, { resource, namespace }: Target): object {
    const token = ask.query.get('continue');
    const first = {
      version: store.version,
      items: store.list(resource, namespace).filter(matcher(ask)),
    };
    const page = token === null ? first : this.#rest.get(token);
    if (page === undefined)
      throw new Refusal(410, 'Expired', 'The provided continue parameter is too old');
    const limit = Number(ask.query.get('limit') ?? Infinity);
    const items = page.items.slice(0, limit);
    const rest = page.items.slice(limit);
    const next = `${page.version}-${rest.length}-${this.#rest.size}`;
    if (rest.length > 0) this.#rest.set(next, { version: page.version, items: rest });
    const metadata = {
      resourceVersion: String(page.version),
      ...(rest.length > 0 && { continue: next }),
    };
    // Items do not say what they are; the list does.
    const bare = items.map((item) => ({ ...item, apiVersion: undefined, kind: undefined }));
    const list = { kind: `${resource.kind}List`, apiVersion: apiVersionOf(resource) };
    return { ...list, metadata, items: bare };
  }
}

/** An object that enters or leaves the selection is added or deleted, as far as this watch can see. */
function eventOf({ object, before }: Change, matches: Matches): string | undefined {
  const [was, is] = [before, object].map((one) => one !== undefined && matches(one));
  if (is) return was ? 'MODIFIED' : 'ADDED';
  return was ? 'DELETED' : undefined;
}

function follow(store: Store, ask: Ask, { resource, namespace }: Target, stream: Stream): void {
  const matches = matcher(ask);
  const tell = (change: Change): void => {
    const isHere = change.resource.plural === resource.plural && change.namespace === namespace;
    const type =
      isHere && change.resource.group === resource.group ? eventOf(change, matches) : undefined;
    if (type === undefined) return;
    const { metadata, ...rest } = (change.object ?? change.before) as KubeObject;
    const resourceVersion = String(change.version);
    stream.send(type, { ...rest, metadata: { ...metadata, resourceVersion } });
  };
  const past = store.since(Number(ask.query.get('resourceVersion')));
  if (past === undefined) {
    stream.send('ERROR', statusOf(410, 'Expired', 'too old resource version'));
    return stream.end();
  }
  past.forEach(tell);
  const stop = store.subscribe((change) => (stream.isOpen() ? tell(change) : stop()));
}

function answer(store: Store, pages: Pages, ask: Ask): Reply {
  const target = targetOf(ask);
  if (ask.query.get('watch') === 'true')
    return { kind: 'stream', open: (stream) => follow(store, ask, target, stream) };
  if (ask.method === 'DELETE') return { kind: 'json', value: removed(store, ask, target) };
  if (ask.method === 'GET' && target.name === undefined)
    return { kind: 'json', value: pages.list(store, ask, target) };
  return { kind: 'json', value: written(store, ask, target) };
}

/** One request against the store. */
export function respond(store: Store, pages: Pages, ask: Ask): Reply {
  try {
    return answer(store, pages, ask);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return failure(error.code, error.reason, error.message, error.details);
  }
}
