import type { k8s } from 'cdk8s-plus-28';
import type { Arm, Environment, ModelSpec } from '../spec';
import { gpuOf } from '../spec';
import { artifactParts } from './artifact';
import { pullSecrets } from './cache';
import { commandOf } from './command';
import type { Context } from './context';
import { factsOf } from './context';
import { graceSeconds, preStop } from './drain';
import { envOf } from './env';
import { imageOf } from './image';
import type { Plain } from './kube';
import { labelsOf } from './labels';
import { scrapeAnnotations } from './monitoring';
import { probesOf } from './probes';
import { schedulingOf } from './scheduling';
import { containerSecurity, identityOf, podSecurity, RUNTIME_UID, userOf } from './security';
import { configFiles, serverConfigName } from './serverconfig';
import { CACHE_LIMIT, ephemeralRequest, sharedMemoryLimit, TMP_LIMIT } from './storage';

type Volume = Plain<k8s.Volume>;
type Mount = Plain<k8s.VolumeMount>;

interface Storage {
  readonly volumes: readonly Volume[];
  readonly mounts: readonly Mount[];
}

/** The name of the container that serves. */
export const SERVER_CONTAINER = 'server';

/**
 * Memory limits equal requests (no surprise under pressure), and so do GPUs (Kubernetes requires
 * it).
 */
function resourcesOf(spec: ModelSpec, arm: Arm, { defaultResources, gpu: nodes }: Environment) {
  const { resources } = arm;
  const { cpu = defaultResources.cpu, memory = defaultResources.memory, cpuLimit } = resources;
  const gpu = gpuOf(resources);
  const gpus = gpu === undefined ? {} : { [gpu.resource ?? nodes.resource]: String(gpu.count) };
  return {
    requests: { cpu, memory, 'ephemeral-storage': ephemeralRequest(spec, arm), ...gpus },
    limits: { ...(cpuLimit !== 'none' && { cpu: cpuLimit }), memory, ...gpus },
  };
}

function portsOf(spec: ModelSpec, arm: Arm): readonly Plain<k8s.ContainerPort>[] {
  const { httpPort, grpcPort, metrics } = factsOf(spec, arm);
  return [
    { name: 'http', containerPort: httpPort },
    ...(grpcPort === undefined ? [] : [{ name: 'grpc', containerPort: grpcPort }]),
    ...(metrics.port === httpPort ? [] : [{ name: 'metrics', containerPort: metrics.port }]),
  ];
}

/**
 * Folders that a server writes to with a read-only root; shared memory for servers that span GPUs.
 */
function writable(spec: ModelSpec, arm: Arm, environment: Environment): Storage {
  const { writable: paths, sharedMemory } = factsOf(spec, arm);
  const named = [
    ['tmp', '/tmp'],
    ...paths.map((path) => [`writable-${path.replace(/[^a-z0-9]+/g, '-').slice(1)}`, path]),
  ] as [string, string][];
  const { memory = environment.defaultResources.memory } = arm.resources;
  const sizeLimit = sharedMemoryLimit(memory);
  const shared = sharedMemory && gpuOf(arm.resources) !== undefined;
  return {
    volumes: [
      ...named.map(([name, path]) => ({
        name: name.replace(/--+/g, '-'),
        emptyDir: { sizeLimit: path === '/tmp' ? TMP_LIMIT : CACHE_LIMIT },
      })),
      ...(shared ? [{ name: 'shm', emptyDir: { medium: 'Memory', sizeLimit } }] : []),
    ],
    mounts: [
      ...named.map(([name, mountPath]) => ({ name: name.replace(/--+/g, '-'), mountPath })),
      ...(shared ? [{ name: 'shm', mountPath: '/dev/shm' }] : []),
    ],
  };
}

function configuration(spec: ModelSpec, arm: Arm): Storage {
  const files = configFiles(spec, arm);
  if (files.length === 0) return { volumes: [], mounts: [] };
  const configMap = { name: serverConfigName(spec, files) };
  return {
    volumes: [{ name: 'server-config', configMap }],
    mounts: files.map(({ name, path }) => ({
      name: 'server-config',
      mountPath: path,
      subPath: name,
      readOnly: true,
    })),
  };
}

function serverContainer(
  { spec, environment }: Context,
  arm: Arm,
  mounts: readonly Mount[],
): Plain<k8s.Container> {
  const env = envOf(spec, arm);
  return {
    name: SERVER_CONTAINER,
    image: imageOf(spec, arm, environment),
    ...commandOf(spec, arm, environment),
    ...(env.length > 0 && { env }),
    ports: portsOf(spec, arm),
    resources: resourcesOf(spec, arm, environment),
    ...probesOf(spec, arm),
    lifecycle: { preStop: preStop(spec, arm, environment) },
    ...containerSecurity(environment, identityOf(spec, arm)),
    // The last lines of the log explain a crash without the right to read logs.
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: mounts,
  };
}

/** A group for volumes that the pod writes; read-only claims are left as they are. */
function fsGroupOf(spec: ModelSpec, arm: Arm, volumes: readonly Volume[]): number | undefined {
  const written = volumes.some(({ emptyDir }) => emptyDir !== undefined);
  return written ? (userOf(spec, arm) ?? RUNTIME_UID) : undefined;
}

/**
 * The pod template of an arm. It must not depend on the split, the scaling or the definition's
 * hash: every change of the template restarts every replica.
 */
export function podTemplate(context: Context, arm: Arm): Plain<k8s.PodTemplateSpec> {
  const { spec, environment } = context;
  const artifact = artifactParts(context, arm);
  const parts = [writable(spec, arm, environment), configuration(spec, arm), artifact];
  const mounts = parts.flatMap((part) => part.mounts);
  const volumes = parts.flatMap((part) => part.volumes);
  const annotations = { ...spec.annotations, ...scrapeAnnotations(context, arm) };
  return {
    metadata: {
      labels: labelsOf(spec, arm),
      ...(Object.keys(annotations).length > 0 && { annotations }),
    },
    spec: {
      serviceAccountName: spec.slug,
      automountServiceAccountToken: false,
      // Service variables of a namespace (VLLM_PORT, …) are read by some servers as configuration.
      enableServiceLinks: false,
      terminationGracePeriodSeconds: graceSeconds(spec, arm),
      ...podSecurity(environment, fsGroupOf(spec, arm, artifact.volumes)),
      ...pullSecrets(environment),
      ...schedulingOf(spec, arm, environment),
      ...(artifact.initContainers.length > 0 && { initContainers: artifact.initContainers }),
      containers: [serverContainer(context, arm, mounts)],
      volumes,
    },
  };
}
