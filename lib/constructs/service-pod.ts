import type { ISecret, k8s } from 'cdk8s-plus-28';
import type { Plain } from '../objects/kube';
import { canonical, definitionHash, environmentSchema, wireOf } from '../spec';
import { PREFIX } from '../objects';
import { runtimeImage } from '../objects/image';
import { pullSecrets } from '../objects/cache';
import { containerSecurity, podSecurity, RUNTIME_IDENTITY, RUNTIME_UID } from '../objects/security';
import type { Environment } from '../spec';
import type { ExternalMetricsOptions } from './service-metrics';
import { METRICS_PORT, METRICS_TLS_FOLDER } from './service-metrics';
import { entryOf } from '../spec/entry';

export const PUBLIC_PORT = 8080;
/** For kubelet, monitoring and peers only. */
export const OPS_PORT = 9090;

const CONFIG_FOLDER = '/etc/ai-model-service';
const TLS_FOLDER = '/etc/ai-model-service-tls';
const KEYS_FOLDER = '/etc/ai-model-service-keys';
const AUDIT_FOLDER = '/etc/ai-model-service-audit';

/** After SIGTERM: time in which new requests are still accepted, and time to exit. */
const ACCEPT_SECONDS = 5;
const EXIT_SECONDS = 5;

export interface PodOptions {
  readonly environment: Environment;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly image?: string | undefined;
  readonly config: Readonly<Record<string, unknown>>;
  readonly longestTimeoutSeconds: number;
  readonly envFrom: readonly ISecret[];
  readonly keys?: ISecret | undefined;
  readonly auditKey?: ISecret | undefined;
  readonly tls?: ISecret | undefined;
  readonly externalMetrics?: ExternalMetricsOptions | undefined;
  readonly grpcPort?: number | undefined;
  readonly cpu: string;
  readonly memory: string;
}

/** Inputs of the configuration. */
export interface ConfigOptions {
  /** Where models are; the environment's namespace comes first. */
  readonly modelNamespaces: readonly string[];
  readonly mode: string;
  readonly keys: boolean;
  readonly auditKey: boolean;
  readonly tls: boolean;
  readonly grpcPort?: number | undefined;
  /** The sections that the user gave. */
  readonly sections: Readonly<Record<string, unknown>>;
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

/** Where new models go; there the service keeps its state and its Lease. */
export function stateNamespaceOf(
  { namespace }: Environment,
  modelNamespaces: readonly string[],
): string {
  return modelNamespaces.includes(namespace) ? namespace : (modelNamespaces[0] ?? namespace);
}

/** Sections of the user take precedence over those of the construct, key by key. */
export function serviceConfig(
  environment: Environment,
  { modelNamespaces, mode, keys, auditKey, tls, grpcPort, sections }: ConfigOptions,
): Readonly<Record<string, unknown>> {
  const { runtime } = environment;
  const namespace = stateNamespaceOf(environment, modelNamespaces);
  const namespaces = modelNamespaces.filter((one) => one !== namespace);
  const own: Readonly<Record<string, unknown>> = {
    server: {
      host: '0.0.0.0',
      port: PUBLIC_PORT,
      ops_port: OPS_PORT,
      ...(grpcPort !== undefined && { grpc_port: grpcPort }),
      accept_seconds: ACCEPT_SECONDS,
      ...(tls && { tls: { cert: `${TLS_FOLDER}/tls.crt`, key: `${TLS_FOLDER}/tls.key` } }),
    },
    ...(keys && { auth: { keys_file: `${KEYS_FOLDER}/keys.yaml` } }),
    ...(auditKey && { audit: { file: '-', chain_key_file: `${AUDIT_FOLDER}/chain.key` } }),
    cluster: 'kubernetes',
    kubernetes: {
      namespace,
      ...(namespaces.length > 0 && { namespaces }),
      mode,
      runtime_namespace: runtime.namespace ?? environment.namespace,
      // Definitions by REST become the same objects as definitions that are rendered.
      environment: wireOf(environmentSchema, environment),
    },
  };
  const merged = Object.entries(sections).map(([section, value]): [string, unknown] => {
    const base = entryOf(own, section);
    return [section, isObject(base) && isObject(value) ? { ...base, ...value } : value];
  });
  return canonical({ ...own, ...Object.fromEntries(merged) }) as Record<string, unknown>;
}

function downward(name: string, fieldPath: string): Plain<k8s.EnvVar> {
  return { name, valueFrom: { fieldRef: { fieldPath } } };
}

function probe(path: string, failureThreshold: number): Plain<k8s.Probe> {
  return {
    httpGet: { path, port: 'ops' },
    periodSeconds: 5,
    timeoutSeconds: 3,
    failureThreshold,
  };
}

interface MountedSecret {
  readonly name: string;
  readonly mountPath: string;
  readonly secret: ISecret;
}

/** Secrets that the service reads as files, and again when they change. */
function mountedSecrets({
  keys,
  auditKey,
  tls,
  externalMetrics,
}: PodOptions): readonly MountedSecret[] {
  const all = [
    { name: 'keys', mountPath: KEYS_FOLDER, secret: keys },
    { name: 'audit', mountPath: AUDIT_FOLDER, secret: auditKey },
    { name: 'tls', mountPath: TLS_FOLDER, secret: tls },
    { name: 'metrics-tls', mountPath: METRICS_TLS_FOLDER, secret: externalMetrics?.tls },
  ];
  return all.flatMap(({ secret, ...one }) => (secret === undefined ? [] : [{ ...one, secret }]));
}

function container(options: PodOptions): Plain<k8s.Container> {
  const { environment, image, envFrom, externalMetrics, grpcPort, cpu, memory } = options;
  const secrets = mountedSecrets(options);
  return {
    name: 'service',
    image: image ?? runtimeImage(environment),
    command: ['ai-model-service'],
    args: ['--config', `${CONFIG_FOLDER}/config.yaml`],
    env: [
      downward('POD_IP', 'status.podIP'),
      downward('POD_NAME', 'metadata.name'),
      downward('POD_NAMESPACE', 'metadata.namespace'),
    ],
    ...(envFrom.length > 0 && {
      envFrom: envFrom.map(({ name }) => ({ secretRef: { name } })),
    }),
    ports: [
      { name: 'http', containerPort: PUBLIC_PORT },
      { name: 'ops', containerPort: OPS_PORT },
      ...(externalMetrics === undefined ? [] : [{ name: 'metrics', containerPort: METRICS_PORT }]),
      ...(grpcPort === undefined ? [] : [{ name: 'grpc', containerPort: grpcPort }]),
    ],
    resources: { requests: { cpu, memory }, limits: { memory } },
    // The first snapshot of the cluster may take a while; after that a stale one is good enough.
    startupProbe: probe('/ready', 60),
    readinessProbe: probe('/ready', 2),
    livenessProbe: probe('/live', 6),
    ...containerSecurity(environment, RUNTIME_IDENTITY),
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: [
      { name: 'tmp', mountPath: '/tmp' },
      { name: 'config', mountPath: CONFIG_FOLDER, readOnly: true },
      ...secrets.map(({ name, mountPath }) => ({ name, mountPath, readOnly: true })),
    ],
  };
}

const SCRAPE = {
  'prometheus.io/scrape': 'true',
  'prometheus.io/port': String(OPS_PORT),
  'prometheus.io/path': '/metrics',
};

/** The pod template of the service itself. */
export function servicePod(options: PodOptions): Plain<k8s.PodTemplateSpec> {
  const { environment, name, labels, config, longestTimeoutSeconds } = options;
  const selector = { matchLabels: { app: name } };
  return {
    metadata: {
      labels,
      annotations: {
        // Restarts the pods when the configuration changes.
        [`${PREFIX}/config-hash`]: definitionHash(config),
        ...(environment.monitoring.style === 'annotations' && SCRAPE),
      },
    },
    spec: {
      serviceAccountName: name,
      automountServiceAccountToken: true,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: ACCEPT_SECONDS + longestTimeoutSeconds + EXIT_SECONDS,
      ...podSecurity(environment, RUNTIME_UID),
      ...pullSecrets(environment),
      topologySpreadConstraints: ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'].map(
        (topologyKey) => ({
          maxSkew: 1,
          topologyKey,
          whenUnsatisfiable: 'ScheduleAnyway',
          labelSelector: selector,
        }),
      ),
      containers: [container(options)],
      volumes: [
        { name: 'tmp', emptyDir: {} },
        { name: 'config', configMap: { name } },
        ...mountedSecrets(options).map(({ name: volume, secret }) => ({
          name: volume,
          secret: { secretName: secret.name },
        })),
      ],
    },
  };
}
