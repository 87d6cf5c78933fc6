import type { AccessOptions } from './access';
import { openAccess } from './access';
import { answerError, parseJson, readBody } from './api-response';
import type {
  KubeApi,
  KubeList,
  KubeObject,
  ListOptions,
  DeleteOptions,
  WatchEvent,
  WatchOptions,
  WriteOptions,
} from './api';
import { withDeadline } from './deadline';
import { KubeError } from './api-error';
import { pathOf } from './resource-path';
import type { Resource } from './resources';
import { apiVersionOf, resourceOf } from './resources';
import { withRetries } from './request-retry';
import { readEvents } from './event-stream';
import type { Timing } from './timing';
import { realTiming } from './timing';
import type { ApiRequest, Transport } from './transport';
import { createTransport } from './transport';

/** All tries of a call together. The API server's own limit is 60 s. */
export const REQUEST_TIMEOUT_MS = 30_000;

/** For `GET /version`, which a healthy server answers at once. */
const ALIVE_TIMEOUT_MS = 5000;
const VERSION: ApiRequest = { method: 'GET', path: '/version' };

/** A watch may last this much longer than the timeout sent to the server. */
const WATCH_GRACE_MS = 30_000;

const NOT_FOUND = 404;

const CONTENT = {
  // JSON is YAML: https://kubernetes.io/docs/reference/using-api/server-side-apply/
  apply: 'application/apply-patch+yaml',
  json: 'application/json',
  merge: 'application/merge-patch+json',
} as const;

const whatOf = ({ method, path }: ApiRequest): string => `${method} ${path}`;

const isMissing = (error: unknown): boolean =>
  error instanceof KubeError && error.status === NOT_FOUND;

function bodyOf(type: string, value: object): NonNullable<ApiRequest['body']> {
  return { type, text: JSON.stringify(value) };
}

/** Strict: the server refuses unknown fields instead of dropping them. */
function writing({ dryRun, manager }: WriteOptions) {
  return {
    dryRun: dryRun === true ? 'All' : undefined,
    fieldManager: manager,
    fieldValidation: 'Strict',
  };
}

function deleteOptions({ uid }: DeleteOptions): object {
  return {
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    preconditions: { uid },
    // The objects that it owns are deleted after it.
    propagationPolicy: 'Background',
  };
}

interface RawList {
  readonly items?: readonly KubeObject[] | null;
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
}

/** Items of a list come without apiVersion and kind. */
function listOf(resource: Resource, { items, metadata }: RawList): KubeList {
  const type = { apiVersion: apiVersionOf(resource), kind: resource.kind };
  return {
    items: (items ?? []).map((item) => ({ ...item, ...type })),
    resourceVersion: metadata?.resourceVersion ?? '',
    ...(metadata?.continue && { continue: metadata.continue }),
  };
}

class Client implements KubeApi {
  constructor(
    private readonly transport: Transport,
    private readonly timing: Timing,
  ) {}

  readonly get: KubeApi['get'] = async (resource, namespace, name) => {
    const call: ApiRequest = { method: 'GET', path: pathOf(resource, namespace, [name], {}) };
    try {
      return (await this.#json(call, true)) as KubeObject;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  };

  readonly list: KubeApi['list'] = async (resource, namespace, options: ListOptions = {}) => {
    const { retry = true, ...query } = options;
    const path = pathOf(resource, namespace, [], query);
    return listOf(resource, (await this.#json({ method: 'GET', path }, retry)) as RawList);
  };

  readonly apply: KubeApi['apply'] = (object, { force, ...options }) => {
    const query = { ...writing(options), force };
    return this.#object({
      method: 'PATCH',
      path: this.#pathOf(object, query),
      body: bodyOf(CONTENT.apply, object),
    });
  };

  readonly create: KubeApi['create'] = (object, options) => {
    const { namespace = '' } = object.metadata;
    const path = pathOf(resourceOf(object), namespace, [], writing(options));
    return this.#object({ method: 'POST', path, body: bodyOf(CONTENT.json, object) });
  };

  readonly patch: KubeApi['patch'] = (resource, namespace, name, mergePatch, options) => {
    const { subresource, ...rest } = options;
    const parts = subresource === undefined ? [name] : [name, subresource];
    const path = pathOf(resource, namespace, parts, writing(rest));
    return this.#object({ method: 'PATCH', path, body: bodyOf(CONTENT.merge, mergePatch) });
  };

  readonly remove: KubeApi['remove'] = async (resource, namespace, name, options = {}) => {
    const body = bodyOf(CONTENT.json, deleteOptions(options));
    try {
      await this.#json({ method: 'DELETE', path: pathOf(resource, namespace, [name], {}), body });
      return true;
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
  };

  readonly watch: KubeApi['watch'] = async (resource, namespace, options, onEvent, signal) => {
    const query = { ...options, watch: true, allowWatchBookmarks: true };
    const call: ApiRequest = { method: 'GET', path: pathOf(resource, namespace, [], query) };
    try {
      await this.#stream(call, options, onEvent, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  };

  readonly alive: KubeApi['alive'] = () => {
    const what = 'is the API server there? GET /version';
    return withDeadline({ what, ms: ALIVE_TIMEOUT_MS, timing: this.timing }, async (signal) => {
      // Any status shows that the server answers.
      const answer = await this.transport.open(VERSION, signal);
      answer.resume();
    });
  };

  readonly close = (): void => this.transport.close();

  #pathOf(object: KubeObject, query: Parameters<typeof pathOf>[3]): string {
    const { name, namespace = '' } = object.metadata;
    return pathOf(resourceOf(object), namespace, [name], query);
  }

  async #object(call: ApiRequest): Promise<KubeObject> {
    return (await this.#json(call)) as KubeObject;
  }

  #json(call: ApiRequest, retry = false): Promise<unknown> {
    const { timing } = this;
    const what = whatOf(call);
    const ask = async (signal: AbortSignal): Promise<unknown> => {
      const answer = await this.transport.open(call, signal);
      if (answer.statusCode === undefined || answer.statusCode > 299)
        throw await answerError(what, answer);
      return parseJson(what, await readBody(what, answer));
    };
    return withDeadline({ what, ms: REQUEST_TIMEOUT_MS, timing }, (signal) =>
      retry ? withRetries(timing, signal, () => ask(signal)) : ask(signal),
    );
  }

  #stream(
    call: ApiRequest,
    { timeoutSeconds }: WatchOptions,
    onEvent: (event: WatchEvent) => void,
    parent: AbortSignal,
  ): Promise<void> {
    const what = whatOf(call);
    const deadline = { what, ms: REQUEST_TIMEOUT_MS, timing: this.timing, parent };
    return withDeadline(deadline, async (signal, extend) => {
      const answer = await this.transport.open(call, signal);
      if (answer.statusCode !== 200) throw await answerError(what, answer);
      extend(timeoutSeconds * 1000 + WATCH_GRACE_MS);
      onEvent({ type: 'OPENED' });
      await readEvents(what, answer, onEvent);
    });
  }
}

export interface Kubernetes {
  readonly api: KubeApi;
  /** Namespace of the kubeconfig's context or of the pod. */
  readonly namespace: string | undefined;
}

/**
 * Reads the API server's address and the credentials; sends no request yet.
 * @throws KubeError `access` when neither a kubeconfig nor a service account can be read
 */
export async function openKubernetes(
  options: AccessOptions = {},
  timing: Timing = realTiming,
): Promise<Kubernetes> {
  const access = await openAccess(options);
  const transport = createTransport(access, () => openAccess(options));
  return { api: new Client(transport, timing), namespace: access.namespace };
}
