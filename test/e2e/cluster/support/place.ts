import { createHash, randomBytes } from 'node:crypto';
import { Agent as TlsAgent } from 'node:https';
import { Chart, Testing } from 'cdk8s';
import { Secret } from 'cdk8s-plus-28';
import type { ModelServiceProps } from '../../../../lib/constructs';
import { ModelService, namespaceChart } from '../../../../lib/constructs';
import { objectsOf } from '../../../../lib/objects';
import type { Environment, EnvironmentInput, ModelInput } from '../../../../lib/spec';
import { parseEnvironment, parseModel } from '../../../../lib/spec';
import type { Manifest } from '../../../support/manifests';
import type { Answer } from '../../service';
import { call, until } from '../../service';
import { apply, kubectl, listOf } from './kubectl';

// A namespace with restricted pod security and the service in it, as `ModelService` renders it.

const KEYS = 'ai-model-service-keys';
export const CERTIFICATE = 'ai-model-service-tls';
/** Names differ between runs: a namespace that is being deleted takes its time. */
const RUN = process.pid.toString(36);

export interface Place {
  readonly namespace: string;
  readonly environment: Environment;
  readonly url: string;
  /** How the certificate of its port is checked; undefined: it speaks plain HTTP. */
  readonly tls: Trust | undefined;
  readonly key: Readonly<Record<string, string>>;
  /** The header of a key that may write definitions and is no administrator's. */
  readonly writer: Readonly<Record<string, string>>;
  readonly call: (method: string, path: string, body?: unknown) => Promise<Answer>;
  readonly kubectl: (...args: readonly string[]) => Promise<string>;
  /** As a pipeline does it: rendered and applied, nothing else. */
  readonly applyModel: (model: ModelInput, ...more: readonly string[]) => Promise<string>;
  /** `.status` of a model, when the condition holds for it. */
  readonly status: (id: string, holds: (status: Status) => boolean, ms?: number) => Promise<Status>;
  /** What the routers wrote so far. */
  readonly logs: () => Promise<string>;
  readonly end: () => Promise<void>;
}

/** Options of node:tls. */
export interface Trust {
  readonly ca: string;
  /** The name that the certificate has; tests call addresses. */
  readonly servername: string;
}

/** `GET /status`, as far as the tests look at it. */
export interface Status {
  readonly status: string;
  readonly serving: boolean;
  readonly version: string;
  readonly manager: string;
  readonly revision: number;
  readonly why: {
    readonly cause: string;
    readonly message: string;
    readonly object?: string;
  } | null;
  readonly replicas: { readonly desired: number; readonly current: number; readonly ready: number };
  readonly arms: readonly {
    readonly name: string;
    readonly version: string;
    readonly traffic: number;
    readonly replicas: Status['replicas'];
  }[];
  readonly resource_usage: { readonly cpu_cores: number | null };
  readonly conditions: readonly { readonly type: string; readonly status: string }[];
}

export interface PlaceOptions {
  readonly props?: Omit<ModelServiceProps, 'environment'>;
  readonly environment?: EnvironmentInput;
  /** A certificate for its port, in a Secret of the name CERTIFICATE. */
  readonly tls?: Trust;
  /** Objects that have to be there before the service. */
  readonly extra?: readonly object[];
}

export const namespaceOf = (name: string): string => `e2e-${name}-${RUN}`;

export const randomKey = (): string => `e2e-${randomBytes(16).toString('hex')}`;
export const digestOf = (key: string): string => createHash('sha256').update(key).digest('hex');

export interface NewKeys {
  /** For everything. */
  readonly key: string;
  /** For definitions, without the scope admin. */
  readonly writer: string;
  /** Holds their digests. */
  readonly secret: object;
}

export function newKey(namespace: string): NewKeys {
  const [key, writer] = [randomKey(), randomKey()];
  const keys = [
    { name: 'tester', sha256: digestOf(key), scopes: ['admin'] },
    { name: 'writer', sha256: digestOf(writer), scopes: ['infer', 'read', 'write'] },
  ];
  return { key, writer, secret: keysSecret(namespace, keys) };
}

/** The Secret from which the service reads the keys of its callers. */
export function keysSecret(namespace: string, keys: readonly object[]): object {
  const stringData = { 'keys.yaml': JSON.stringify(keys) };
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name: KEYS, namespace }, stringData };
}

/** Few cores are shared by all suites; what a pod asks for is about scheduling only. */
const SMALL = { cpu: '20m', memory: '256Mi', minReplicas: 2, maxReplicas: 2 };

function rendered(
  environment: EnvironmentInput,
  { props, tls }: Pick<PlaceOptions, 'props' | 'tls'>,
): Manifest[] {
  const app = Testing.app();
  const chart = new Chart(app, 'service', { disableResourceNameHashes: true });
  const callers = Secret.fromSecretName(chart, 'keys', KEYS);
  const secured = tls && { tls: Secret.fromSecretName(chart, 'tls', CERTIFICATE) };
  // oxlint-disable-next-line no-new
  new ModelService(chart, 'service', {
    ...SMALL,
    keys: callers,
    ...secured,
    ...props,
    environment,
  });
  const namespace = namespaceChart(app, parseEnvironment(environment));
  const charts = namespace === undefined ? [chart] : [namespace, chart];
  return charts.flatMap((one) => Testing.synth(one) as Manifest[]);
}

/** Installs the service in a new namespace and waits until it answers. */
export async function install(name: string, options: PlaceOptions = {}): Promise<Place> {
  const namespace = namespaceOf(name);
  const input: EnvironmentInput = {
    namespace,
    createNamespace: true,
    monitoring: { style: 'none' },
    defaultResources: { cpu: '10m', memory: '128Mi' },
    ...options.environment,
  };
  const { key, writer, secret } = newKey(namespace);
  // The store of a suite is inside; REST may name it.
  const config = { models: { allowedHosts: [`store.${namespace}.svc:9000`] } };
  const objects = rendered(input, { tls: options.tls, props: { config, ...options.props } });
  await apply(objects.slice(0, 1));
  await apply([secret, ...(options.extra ?? []), ...objects.slice(1)]);
  const inside = (...args: readonly string[]): Promise<string> =>
    kubectl([...args, '--namespace', namespace]);
  await inside('rollout', 'status', 'deployment/ai-model-service', '--timeout=180s');
  const ip = await inside('get', 'service', 'ai-model-service', '-o', 'jsonpath={.spec.clusterIP}');
  const keys = { key: { 'x-api-key': key }, writer: { 'x-api-key': writer } };
  const url = `${options.tls === undefined ? 'http' : 'https'}://${ip}:8080`;
  const place = placeOf(namespace, parseEnvironment(input), url, { ...keys, tls: options.tls });
  const beyond = objects.slice(1).filter(({ metadata }) => metadata.namespace !== namespace);
  return { ...place, end: () => end(namespace, beyond) };
}

/** Whatever was made outside the namespace does not go with it. */
async function end(namespace: string, beyond: readonly object[]): Promise<void> {
  const remove = ['delete', '--ignore-not-found', '-f', '-'];
  if (beyond.length > 0) await kubectl(remove, listOf(beyond));
  await kubectl(['delete', 'namespace', namespace, '--wait=false']);
}

function placeOf(
  namespace: string,
  environment: Environment,
  url: string,
  keys: Pick<Place, 'key' | 'writer' | 'tls'>,
): Omit<Place, 'end'> {
  const agent = keys.tls && new TlsAgent({ ...keys.tls });
  const ask = (method: string, path: string, body?: unknown): Promise<Answer> =>
    call(url + path, method, body, agent, keys.key);
  const inside = (...args: readonly string[]): Promise<string> =>
    kubectl([...args, '--namespace', namespace]);
  return {
    namespace,
    environment,
    url,
    ...keys,
    call: ask,
    kubectl: inside,
    applyModel: (model, ...more) => apply(objectsOf(parseModel(model), environment), ...more),
    status: async (id, holds, ms) => {
      // The Service has no address while the cluster takes all routers for not ready.
      const look = async (): Promise<Partial<Status>> =>
        ask('GET', `/api/v1/models/${id}/status`).then(
          (answer) => answer.json() as Status,
          (error: Error) => ({ status: error.message }),
        );
      const isSeen = (seen: Partial<Status>): seen is Status => seen.arms !== undefined;
      const found = await until(`status of ${id}`, look, (seen) => isSeen(seen) && holds(seen), ms);
      return found as Status;
    },
    logs: () => inside('logs', '-l', 'app=ai-model-service', '--tail=-1', '--prefix'),
  };
}
