import type { PolicyContext } from './context';
import { ARM_LABEL, isOfModel, isOwnName, MODEL_LABEL } from './context';
import { isFromOneOf } from './images';
import { annotationsCheck } from './annotations';
import type { Check } from './shape';
import { any, below, both, fields, list, listOf, mapWith, oneOf, plain, textThat } from './shape';
import { violation } from './shape';

/** Secrets and ConfigMaps that a container may see. */
function seenName(context: PolicyContext): Check {
  const { spec, allowedSecrets } = context;
  return textThat(
    (name) =>
      !isOwnName(context, name) && (isOfModel(context, name) || allowedSecrets.includes(name)),
    `${spec.slug}--…, or one of kubernetes.allowed_secrets, and never the service’s own`,
    'rename it, or have it allowed',
  );
}

export function pullSecrets(context: PolicyContext): Check {
  const allowed = new Set([...context.pullSecrets, ...context.allowedSecrets]);
  const name = textThat(
    (one) => !isOwnName(context, one) && (allowed.has(one) || isOfModel(context, one)),
    'one of the environment’s imagePullSecrets',
    'name it there',
  );
  return listOf(fields({ name }, ['name']));
}

/** Another model's volume, or the service's, is not to be read; a shared one not to be written. */
function claim(context: PolicyContext): Check {
  const claimName = textThat(
    (name) => !isOwnName(context, name) && (isOfModel(context, name) || !name.includes('--')),
    `${context.spec.slug}--cache, or a claim that belongs to no other model`,
    'name another claim',
  );
  const own = fields({ claimName, readOnly: any }, ['claimName']);
  const shared = fields({ claimName, readOnly: oneOf(true) }, ['claimName', 'readOnly']);
  return (value, at) => {
    const name = plain(value)['claimName'];
    return typeof name === 'string' && isOfModel(context, name)
      ? own(value, at)
      : shared(value, at);
  };
}

/** Kinds of volumes that show nothing of the node and of nobody else. */
function volume(context: PolicyContext): Check {
  const name = seenName(context);
  const items = { items: any, defaultMode: any, optional: any };
  const secret = fields({ secretName: name, ...items }, ['secretName']);
  const configMap = fields({ name, ...items }, ['name']);
  const projected = fields({
    defaultMode: any,
    sources: listOf(
      fields({
        secret: fields({ name, items: any, optional: any }, ['name']),
        configMap: fields({ name, items: any, optional: any }, ['name']),
        downwardAPI: any,
      }),
    ),
  });
  return fields({
    name: any,
    emptyDir: any,
    downwardAPI: any,
    persistentVolumeClaim: claim(context),
    secret,
    configMap,
    projected,
  });
}

const PROFILE = fields({ type: oneOf('RuntimeDefault', 'Localhost'), localhostProfile: any });

/** Of a pod and of a container. */
const SECURITY: Readonly<Record<string, Check>> = {
  runAsUser: any,
  runAsGroup: any,
  runAsNonRoot: any,
  seccompProfile: PROFILE,
  appArmorProfile: PROFILE,
  // Types of the baseline profile of Pod Security.
  seLinuxOptions: fields({
    level: any,
    type: oneOf('', 'container_t', 'container_init_t', 'container_kvm_t', 'container_engine_t'),
  }),
  windowsOptions: fields({ runAsUserName: any, hostProcess: oneOf(false) }),
};

/** Those that stay within the pod (Pod Security, baseline). */
const SYSCTLS = oneOf(
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.ping_group_range',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_rmem',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.tcp_wmem',
);

const POD_SECURITY = fields({
  ...SECURITY,
  fsGroup: any,
  fsGroupChangePolicy: any,
  supplementalGroups: any,
  supplementalGroupsPolicy: any,
  sysctls: listOf(fields({ name: SYSCTLS, value: any })),
});

const NOTHING: Check = (value, at) =>
  list(value).length === 0 && Array.isArray(value)
    ? []
    : violation(at, value, 'empty', 'a model needs no capability');

const CONTAINER_SECURITY = fields({
  ...SECURITY,
  readOnlyRootFilesystem: any,
  allowPrivilegeEscalation: oneOf(false),
  privileged: oneOf(false),
  procMount: oneOf('Default'),
  capabilities: fields({ drop: any, add: NOTHING }),
});

// Without `host`: the kubelet would ask any address for us, from the node.
const HTTP_GET = fields({ path: any, port: any, scheme: any, httpHeaders: any });
const TCP = fields({ port: any });
const HOOK = fields({ exec: any, httpGet: HTTP_GET, tcpSocket: TCP, sleep: any });
const PROBE = fields({
  exec: any,
  grpc: any,
  httpGet: HTTP_GET,
  tcpSocket: TCP,
  initialDelaySeconds: any,
  periodSeconds: any,
  timeoutSeconds: any,
  successThreshold: any,
  failureThreshold: any,
  terminationGracePeriodSeconds: any,
});
const PORT = fields({ name: any, containerPort: any, protocol: any, hostPort: oneOf(0) });

/** A registry that is not foreign, an image of the environment, or one that was there before. */
function image(context: PolicyContext): Check {
  const { admin, allowedRegistries, trustedImages, before } = context;
  const known = before?.arms.flatMap((arm) => [arm.image ?? arm.server.image ?? []].flat()) ?? [];
  const isKnown = (one: string): boolean =>
    known.some((name) => one === name || one.endsWith(`/${name}`));
  if (admin || allowedRegistries === undefined) return any;
  return textThat(
    (one) => isFromOneOf(one, allowedRegistries) || trustedImages.includes(one) || isKnown(one),
    `from ${allowedRegistries.join(', ') || 'no registry'} (models.allowed_registries)`,
    'push it there, or ask with the scope admin',
  );
}

function container(context: PolicyContext): Check {
  const name = seenName(context);
  const key = fields({ name, key: any, optional: any }, ['name']);
  const all = fields({ name, optional: any }, ['name']);
  const valueFrom = fields({
    secretKeyRef: key,
    configMapKeyRef: key,
    fieldRef: any,
    resourceFieldRef: any,
  });
  return fields({
    name: any,
    image: image(context),
    imagePullPolicy: any,
    command: any,
    args: any,
    workingDir: any,
    env: listOf(fields({ name: any, value: any, valueFrom })),
    envFrom: listOf(fields({ prefix: any, secretRef: all, configMapRef: all })),
    ports: listOf(PORT),
    resources: fields({ requests: any, limits: any }),
    startupProbe: PROBE,
    readinessProbe: PROBE,
    livenessProbe: PROBE,
    lifecycle: fields({ preStop: HOOK, postStart: HOOK, stopSignal: any }),
    restartPolicy: any,
    securityContext: CONTAINER_SECURITY,
    terminationMessagePath: any,
    terminationMessagePolicy: any,
    volumeMounts: any,
    stdin: any,
    tty: any,
  });
}

/** Classes that Kubernetes keeps for itself preempt everything else. */
const PRIORITY = textThat(
  (name) => !name.startsWith('system-'),
  'a class of yours (system-… is the cluster’s own)',
  'choose another priorityClass',
);

function podSpec(context: PolicyContext): Check {
  const { spec } = context;
  const one = container(context);
  const table = {
    serviceAccountName: oneOf(spec.slug),
    serviceAccount: oneOf(spec.slug),
    automountServiceAccountToken: oneOf(false),
    enableServiceLinks: any,
    terminationGracePeriodSeconds: any,
    activeDeadlineSeconds: any,
    restartPolicy: any,
    securityContext: POD_SECURITY,
    hostNetwork: oneOf(false),
    hostPID: oneOf(false),
    hostIPC: oneOf(false),
    hostUsers: any,
    imagePullSecrets: pullSecrets(context),
    nodeSelector: any,
    tolerations: any,
    affinity: any,
    topologySpreadConstraints: any,
    priorityClassName: PRIORITY,
    preemptionPolicy: any,
    // A class may be a weaker sandbox: only what the definition says in the open.
    runtimeClassName: oneOf(spec.scheduling.runtimeClass ?? ''),
    dnsPolicy: any,
    dnsConfig: any,
    hostAliases: any,
    hostname: any,
    subdomain: any,
    readinessGates: any,
    shareProcessNamespace: any,
    initContainers: listOf(one),
    containers: listOf(one),
    volumes: listOf(volume(context)),
  };
  return fields(table, ['serviceAccountName', 'automountServiceAccountToken', 'containers']);
}

/** A pod that carries the labels of the service would get the service's requests. */
function notOurLabels({ ownLabels }: PolicyContext): Check {
  return (value, at) =>
    Object.entries(ownLabels)
      .filter(([key, own]) => plain(value)[key] === own)
      .flatMap(([key, own]) => {
        const allowed = 'another value (the service’s pods are found by it)';
        return violation(below(at, key), own, allowed, 'rename it');
      });
}

/** What Services usually select by: with one of these a pod might get the requests of others. */
const SELECTED_BY = ['app', 'k8s-app', 'run', 'name', 'service'] as const;

function notOthersLabels({ admin, before }: PolicyContext): Check {
  return (value, at) =>
    SELECTED_BY.filter((key) => plain(value)[key] !== undefined && !admin)
      .filter((key) => before?.labels[key] !== plain(value)[key])
      .flatMap((key) => {
        const allowed = 'absent: Services of others may select by it';
        const fix = 'use a prefix of your own, or ask with the scope admin';
        return violation(below(at, key), plain(value)[key], allowed, fix);
      });
}

/** @param arm undefined: pods of no arm, which load the cache */
export function podTemplate(context: PolicyContext, arm: string | undefined): Check {
  const owner = {
    [MODEL_LABEL]: context.spec.slug,
    ...(arm !== undefined && { [ARM_LABEL]: arm }),
  };
  const metadata = fields(
    {
      labels: both(mapWith(owner), notOurLabels(context), notOthersLabels(context)),
      annotations: annotationsCheck(context),
    },
    ['labels'],
  );
  return fields({ metadata, spec: podSpec(context) }, ['metadata', 'spec']);
}
