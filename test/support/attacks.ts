import type { EnvironmentInput } from '../../lib/spec';
import * as known from '../../runtime/core/policy/context';

// Every line of the policy with an attack on it. test/core/policy.test.ts makes them on the finished
// JSON, test/e2e/cluster/policy.e2e.ts by REST on the service as it runs in a cluster.

/**
 * A merge patch on the objects of a kind (or on one of a name), and the field that the policy
 * names. `schema`: no definition comes that far, what it may override ends before.
 */
export type Attack = readonly [...Line, stoppedBy: 'schema' | 'policy'];
type Line = readonly [what: string, kind: string, patch: object, path: string];

const whole = (lines: readonly (Line | readonly [...Line, 'schema'])[]): readonly Attack[] =>
  lines.map(([what, kind, patch, path, ...by]) => [what, kind, patch, path, by[0] ?? 'policy']);

/** A cached model with two arms: it has every kind of object. */
export const FULL = {
  framework: 'sklearn',
  source: { uri: 's3://models/iris', credentials: { secret: 'iris--s3' }, ca: 'iris--ca' },
  cache: { size: '1Gi' },
  env: { TOKEN: { secret: 'iris--keys', key: 'token' } },
  scaling: { minReplicas: 2, maxReplicas: 4 },
  candidates: [{ version: 'v2', traffic: 10 }],
};
export const EVERYTHING: EnvironmentInput = {
  monitoring: { style: 'operator' },
  networkPolicy: { from: [{ podLabels: { app: 'client' } }] },
  imagePullSecrets: ['pull'],
};

export const podOf = (spec: object): object => ({ spec: { template: { spec } } });
const serverWith = (more: object): object =>
  podOf({ containers: [{ name: 'server', image: 'a/b:1', ...more }] });
export const volumeOf = (source: object): object => podOf({ volumes: [{ name: 'x', ...source }] });
const security = (more: object): object => serverWith({ securityContext: more });
const env = (valueFrom: object): object => serverWith({ env: [{ name: 'X', valueFrom }] });

const C = 'spec.template.spec.containers[0]';
export const V = 'spec.template.spec.volumes[0]';
const P = 'spec.template.spec';

export const POD_ATTACKS = whole([
  [
    'another account',
    'Deployment',
    podOf({ serviceAccountName: 'default' }),
    `${P}.serviceAccountName`,
  ],
  [
    'the service’s account',
    'Deployment',
    podOf({ serviceAccountName: 'ai-model-service' }),
    `${P}.serviceAccountName`,
  ],
  [
    'another account by its old name',
    'Deployment',
    podOf({ serviceAccount: 'admin' }),
    `${P}.serviceAccount`,
  ],
  [
    'a token',
    'Deployment',
    podOf({ automountServiceAccountToken: true }),
    `${P}.automountServiceAccountToken`,
  ],
  [
    'a token by default',
    'Deployment',
    podOf({ automountServiceAccountToken: null }),
    `${P}.automountServiceAccountToken`,
  ],
  [
    'a projected token',
    'Deployment',
    volumeOf({ projected: { sources: [{ serviceAccountToken: { path: 't' } }] } }),
    `${V}.projected.sources[0].serviceAccountToken`,
  ],
  ['the host’s files', 'Deployment', volumeOf({ hostPath: { path: '/' } }), `${V}.hostPath`],
  [
    'a network file system',
    'Deployment',
    volumeOf({ nfs: { server: 'x', path: '/' } }),
    `${V}.nfs`,
  ],
  [
    'a driver of the node',
    'Deployment',
    volumeOf({ csi: { driver: 'x', nodePublishSecretRef: { name: 's' } } }),
    `${V}.csi`,
  ],
  ['a flex volume', 'Deployment', volumeOf({ flexVolume: { driver: 'x' } }), `${V}.flexVolume`],
  [
    'a copy of a claim',
    'Deployment',
    volumeOf({ ephemeral: { volumeClaimTemplate: {} } }),
    `${V}.ephemeral`,
  ],
  [
    'an image as a volume',
    'Deployment',
    volumeOf({ image: { reference: 'evil/x:1' } }),
    `${V}.image`,
  ],
  [
    'the cache of another model',
    'Deployment',
    volumeOf({ persistentVolumeClaim: { claimName: 'other--cache' } }),
    `${V}.persistentVolumeClaim.claimName`,
  ],
  [
    'a raw device',
    'Deployment',
    serverWith({ volumeDevices: [{ name: 'x', devicePath: '/dev/x' }] }),
    `${C}.volumeDevices`,
  ],
  ['the host’s network', 'Deployment', podOf({ hostNetwork: true }), `${P}.hostNetwork`],
  ['the host’s processes', 'Deployment', podOf({ hostPID: true }), `${P}.hostPID`],
  ['the host’s shared memory', 'Deployment', podOf({ hostIPC: true }), `${P}.hostIPC`],
  [
    'a port of the host',
    'Deployment',
    serverWith({ ports: [{ containerPort: 80, hostPort: 80 }] }),
    `${C}.ports[0].hostPort`,
  ],
  [
    'an address of the host',
    'Deployment',
    serverWith({ ports: [{ containerPort: 80, hostIP: '0.0.0.0' }] }),
    `${C}.ports[0].hostIP`,
  ],
  ['a node of its choice', 'Deployment', podOf({ nodeName: 'control-plane' }), `${P}.nodeName`],
  ['a scheduler of its own', 'Deployment', podOf({ schedulerName: 'mine' }), `${P}.schedulerName`],
  [
    'the cluster’s priority',
    'Deployment',
    podOf({ priorityClassName: 'system-node-critical' }),
    `${P}.priorityClassName`,
  ],
  ['a priority as a number', 'Deployment', podOf({ priority: 2_000_001_000 }), `${P}.priority`],
  [
    'another sandbox',
    'Deployment',
    podOf({ runtimeClassName: 'unconfined' }),
    `${P}.runtimeClassName`,
  ],
  [
    'devices by claim',
    'Deployment',
    podOf({ resourceClaims: [{ name: 'gpu' }] }),
    `${P}.resourceClaims`,
  ],
  ['everything', 'Deployment', security({ privileged: true }), `${C}.securityContext.privileged`],
  [
    'more rights later',
    'Deployment',
    security({ allowPrivilegeEscalation: true }),
    `${C}.securityContext.allowPrivilegeEscalation`,
  ],
  [
    'a capability',
    'Deployment',
    security({ capabilities: { add: ['SYS_ADMIN'] } }),
    `${C}.securityContext.capabilities.add`,
  ],
  [
    'an unmasked /proc',
    'Deployment',
    security({ procMount: 'Unmasked' }),
    `${C}.securityContext.procMount`,
  ],
  [
    'no seccomp',
    'Deployment',
    security({ seccompProfile: { type: 'Unconfined' } }),
    `${C}.securityContext.seccompProfile.type`,
  ],
  [
    'no AppArmor',
    'Deployment',
    security({ appArmorProfile: { type: 'Unconfined' } }),
    `${C}.securityContext.appArmorProfile.type`,
  ],
  [
    'another SELinux type',
    'Deployment',
    security({ seLinuxOptions: { type: 'spc_t' } }),
    `${C}.securityContext.seLinuxOptions.type`,
  ],
  [
    'another SELinux user',
    'Deployment',
    security({ seLinuxOptions: { user: 'root' } }),
    `${C}.securityContext.seLinuxOptions.user`,
  ],
  [
    'a Windows host process',
    'Deployment',
    security({ windowsOptions: { hostProcess: true } }),
    `${C}.securityContext.windowsOptions.hostProcess`,
  ],
  [
    'a group account of Windows',
    'Deployment',
    security({ windowsOptions: { gmsaCredentialSpecName: 'x' } }),
    `${C}.securityContext.windowsOptions.gmsaCredentialSpecName`,
  ],
  [
    'a sysctl of the node',
    'Deployment',
    podOf({ securityContext: { sysctls: [{ name: 'kernel.msgmax', value: '1' }] } }),
    `${P}.securityContext.sysctls[0].name`,
  ],
  [
    'the host process of a whole pod',
    'Deployment',
    podOf({ securityContext: { windowsOptions: { hostProcess: true } } }),
    `${P}.securityContext.windowsOptions.hostProcess`,
  ],
  [
    'a Secret of somebody in env',
    'Deployment',
    env({ secretKeyRef: { name: 'db', key: 'x' } }),
    `${C}.env[0].valueFrom.secretKeyRef.name`,
  ],
  [
    'a Secret of another model',
    'Deployment',
    env({ secretKeyRef: { name: 'iris-two--keys', key: 'x' } }),
    `${C}.env[0].valueFrom.secretKeyRef.name`,
  ],
  [
    'the service’s own Secret',
    'Deployment',
    env({ secretKeyRef: { name: 'ai-model-service-keys', key: 'x' } }),
    `${C}.env[0].valueFrom.secretKeyRef.name`,
  ],
  [
    'a ConfigMap of somebody in env',
    'Deployment',
    env({ configMapKeyRef: { name: 'ai-model-service-state', key: 'x' } }),
    `${C}.env[0].valueFrom.configMapKeyRef.name`,
  ],
  [
    'a new kind of reference',
    'Deployment',
    env({ fileKeyRef: { path: '/x' } }),
    `${C}.env[0].valueFrom.fileKeyRef`,
  ],
  [
    'all of a Secret',
    'Deployment',
    serverWith({ envFrom: [{ secretRef: { name: 'db' } }] }),
    `${C}.envFrom[0].secretRef.name`,
  ],
  [
    'all of a ConfigMap',
    'Deployment',
    serverWith({ envFrom: [{ configMapRef: { name: 'db' } }] }),
    `${C}.envFrom[0].configMapRef.name`,
  ],
  [
    'a Secret as a volume',
    'Deployment',
    volumeOf({ secret: { secretName: 'db' } }),
    `${V}.secret.secretName`,
  ],
  [
    'a ConfigMap as a volume',
    'Deployment',
    volumeOf({ configMap: { name: 'db' } }),
    `${V}.configMap.name`,
  ],
  [
    'a projected Secret',
    'Deployment',
    volumeOf({ projected: { sources: [{ secret: { name: 'db' } }] } }),
    `${V}.projected.sources[0].secret.name`,
  ],
  [
    'a projected ConfigMap',
    'Deployment',
    volumeOf({ projected: { sources: [{ configMap: { name: 'db' } }] } }),
    `${V}.projected.sources[0].configMap.name`,
  ],
  [
    'a pull Secret',
    'Deployment',
    podOf({ imagePullSecrets: [{ name: 'db' }] }),
    `${P}.imagePullSecrets[0].name`,
  ],
  [
    'a pull Secret as a Secret',
    'Deployment',
    env({ secretKeyRef: { name: 'pull', key: '.dockerconfigjson' } }),
    `${C}.env[0].valueFrom.secretKeyRef.name`,
  ],
  [
    'an answer of another host to the kubelet',
    'Deployment',
    serverWith({ livenessProbe: { httpGet: { host: '169.254.169.254', port: 80 } } }),
    `${C}.livenessProbe.httpGet.host`,
  ],
  [
    'a connection of the kubelet',
    'Deployment',
    serverWith({ readinessProbe: { tcpSocket: { host: '10.0.0.1', port: 1 } } }),
    `${C}.readinessProbe.tcpSocket.host`,
  ],
  [
    'a request of the kubelet at the end',
    'Deployment',
    serverWith({ lifecycle: { preStop: { httpGet: { host: 'x', port: 1 } } } }),
    `${C}.lifecycle.preStop.httpGet.host`,
  ],
  [
    'an init container that is privileged',
    'Deployment',
    podOf({ initContainers: [{ name: 'i', securityContext: { privileged: true } }] }),
    `${P}.initContainers[0].securityContext.privileged`,
  ],
  [
    'an ephemeral container',
    'Deployment',
    podOf({ ephemeralContainers: [{ name: 'e' }] }),
    `${P}.ephemeralContainers`,
  ],
  [
    'a field of the future',
    'Deployment',
    podOf({ hostEverything: true }),
    `${P}.hostEverything`,
    'schema',
  ],
  [
    'a field named like a method',
    'Deployment',
    podOf({ constructor: true }),
    `${P}.constructor`,
    'schema',
  ],
  [
    'something that is no list',
    'Deployment',
    podOf({ containers: { a: 1 } }),
    `${P}.containers`,
    'schema',
  ],
  [
    'the label of another model',
    'Deployment',
    { spec: { template: { metadata: { labels: { [known.MODEL_LABEL]: 'other' } } } } },
    `spec.template.metadata.labels["${known.MODEL_LABEL}"]`,
    'schema',
  ],
  [
    'the label of another arm',
    'Deployment',
    { spec: { template: { metadata: { labels: { [known.ARM_LABEL]: 'v2' } } } } },
    `spec.template.metadata.labels["${known.ARM_LABEL}"]`,
    'schema',
  ],
  [
    'the label of the service',
    'Deployment',
    { spec: { template: { metadata: { labels: { app: 'ai-model-service' } } } } },
    'spec.template.metadata.labels.app',
  ],
  [
    'no confinement by annotation',
    'Deployment',
    {
      spec: {
        template: {
          metadata: {
            annotations: { 'container.apparmor.security.beta.kubernetes.io/server': 'unconfined' },
          },
        },
      },
    },
    'spec.template.metadata.annotations["container.apparmor.security.beta.kubernetes.io/server"]',
  ],
  [
    'a finalizer on pods',
    'Deployment',
    { spec: { template: { metadata: { finalizers: ['x/y'] } } } },
    'spec.template.metadata.finalizers',
  ],
]);

export const OBJECT_ATTACKS = whole([
  [
    'another namespace',
    'Deployment',
    { metadata: { namespace: 'kube-system' } },
    'metadata.namespace',
    'schema',
  ],
  ['no namespace', 'Deployment', { metadata: { namespace: null } }, 'metadata.namespace', 'schema'],
  ['another name', 'Deployment', { metadata: { name: 'other' } }, 'metadata.name', 'schema'],
  ['a made-up name', 'Service', { metadata: { generateName: 'x' } }, 'metadata.generateName'],
  [
    'the service’s name',
    'ServiceAccount',
    { metadata: { name: 'ai-model-service' } },
    'metadata.name',
    'schema',
  ],
  [
    'a name of the service’s own',
    'ConfigMap',
    { metadata: { name: 'ai-model-service-state' } },
    'metadata.name',
    'schema',
  ],
  [
    'a name with more behind it',
    'ConfigMap',
    { metadata: { name: 'iris--model-2' } },
    'metadata.name',
    'schema',
  ],
  [
    'the label of another model',
    'Deployment',
    { metadata: { labels: { [known.MODEL_LABEL]: 'other' } } },
    `metadata.labels["${known.MODEL_LABEL}"]`,
    'schema',
  ],
  [
    'no label of the model',
    'PodDisruptionBudget',
    { metadata: { labels: null } },
    'metadata.labels',
    'schema',
  ],
  [
    'owners',
    'Deployment',
    { metadata: { ownerReferences: [{ name: 'x' }] } },
    'metadata.ownerReferences',
  ],
  ['finalizers', 'ConfigMap', { metadata: { finalizers: ['x/y'] } }, 'metadata.finalizers'],
  [
    'another version of the API',
    'HorizontalPodAutoscaler',
    { apiVersion: 'autoscaling/v2beta2' },
    'apiVersion',
    'schema',
  ],
  [
    'pods of another model',
    'Deployment',
    { spec: { selector: { matchLabels: { [known.MODEL_LABEL]: 'other' } } } },
    `spec.selector.matchLabels["${known.MODEL_LABEL}"]`,
    'schema',
  ],
  [
    'pods by expression',
    'Deployment',
    { spec: { selector: { matchExpressions: [] } } },
    'spec.selector.matchExpressions',
    'schema',
  ],
  ['a number of replicas', 'Deployment', { spec: { replicas: 100 } }, 'spec.replicas', 'schema'],
  [
    'another Deployment to scale',
    'HorizontalPodAutoscaler',
    { spec: { scaleTargetRef: { name: 'other' } } },
    'spec.scaleTargetRef.name',
    'schema',
  ],
  [
    'another kind to scale',
    'HorizontalPodAutoscaler',
    { spec: { scaleTargetRef: { kind: 'StatefulSet' } } },
    'spec.scaleTargetRef.kind',
    'schema',
  ],
  [
    'a budget over all pods',
    'PodDisruptionBudget',
    { spec: { selector: { matchLabels: null } } },
    'spec.selector.matchLabels',
    'schema',
  ],
  [
    'a policy over all pods',
    'NetworkPolicy',
    { spec: { podSelector: { matchLabels: { [known.MODEL_LABEL]: null } } } },
    `spec.podSelector.matchLabels["${known.MODEL_LABEL}"]`,
  ],
  [
    'requests of others',
    'Service',
    { spec: { selector: { [known.MODEL_LABEL]: 'other' } } },
    `spec.selector["${known.MODEL_LABEL}"]`,
    'schema',
  ],
  ['no selector', 'Service', { spec: { selector: null } }, 'spec.selector', 'schema'],
  ['addresses of others', 'Service', { spec: { externalIPs: ['10.0.0.1'] } }, 'spec.externalIPs'],
  ['a name of others', 'Service', { spec: { type: 'ExternalName' } }, 'spec.type'],
  [
    'a port of the nodes',
    'Service',
    { spec: { ports: [{ port: 1, nodePort: 30_000 }] } },
    'spec.ports[0].nodePort',
  ],
  ['a load balancer', 'Service', { spec: { type: 'LoadBalancer' } }, 'spec.type'],
  [
    'a token of the account',
    'ServiceAccount',
    { automountServiceAccountToken: true },
    'automountServiceAccountToken',
  ],
  [
    'a token of the account by default',
    'ServiceAccount',
    { automountServiceAccountToken: null },
    'automountServiceAccountToken',
  ],
  ['Secrets of the account', 'ServiceAccount', { secrets: [{ name: 'db' }] }, 'secrets'],
  [
    'pull Secrets of the account',
    'ServiceAccount',
    { imagePullSecrets: [{ name: 'db' }] },
    'imagePullSecrets[0].name',
  ],
  [
    'a volume by name',
    'PersistentVolumeClaim',
    { spec: { volumeName: 'pv-of-others' } },
    'spec.volumeName',
  ],
  [
    'a copy of a claim',
    'PersistentVolumeClaim',
    { spec: { dataSource: { kind: 'PersistentVolumeClaim', name: 'x' } } },
    'spec.dataSource',
  ],
  ['a host path in the cache’s Job', 'Job', volumeOf({ hostPath: { path: '/' } }), `${V}.hostPath`],
  ['pods of others for a Job', 'Job', { spec: { manualSelector: true } }, 'spec.manualSelector'],
  [
    'a token of Prometheus',
    'PodMonitor',
    { spec: { podMetricsEndpoints: [{ bearerTokenSecret: { name: 'x' } }] } },
    'spec.podMetricsEndpoints[0].bearerTokenSecret',
  ],
  [
    'pods of other namespaces',
    'PodMonitor',
    { spec: { namespaceSelector: { any: true } } },
    'spec.namespaceSelector',
  ],
  [
    'a rule that records',
    'PrometheusRule',
    { spec: { groups: [{ rules: [{ record: 'up', expr: '0' }] }] } },
    'spec.groups[0].rules[0].record',
  ],
  [
    'a second definition',
    'ConfigMap/iris--model',
    { data: { 'more.json': '{}' } },
    'data["more.json"]',
  ],
  [
    'the definition of another model',
    'ConfigMap/iris--model',
    { data: { 'definition.json': '{"model_id":"other"}' } },
    'data["definition.json"]',
  ],
  [
    'a definition that is none',
    'ConfigMap/iris--model',
    { data: { 'definition.json': 'x' } },
    'data["definition.json"]',
  ],
  ['a status', 'Deployment', { status: { readyReplicas: 9 } }, 'status', 'schema'],
  [
    'the label of another arm',
    'Deployment/iris',
    { metadata: { labels: { [known.ARM_LABEL]: 'v2' } } },
    `metadata.labels["${known.ARM_LABEL}"]`,
    'schema',
  ],
  [
    'another version of what is scaled',
    'HorizontalPodAutoscaler',
    { spec: { scaleTargetRef: { apiVersion: 'example.com/v1' } } },
    'spec.scaleTargetRef.apiVersion',
    'schema',
  ],
  ['an address of its choice', 'Service', { spec: { clusterIP: '10.96.0.10' } }, 'spec.clusterIP'],
  ['a raw device', 'PersistentVolumeClaim', { spec: { volumeMode: 'Block' } }, 'spec.volumeMode'],
  [
    'a claim on devices',
    'PersistentVolumeClaim',
    { spec: { resources: { claims: [{ name: 'x' }] } } },
    'spec.resources.claims',
    'schema',
  ],
]);

/** Kinds that no model has; the last is a method of every object. */
export const FOREIGN_KINDS = [
  'Secret',
  'Pod',
  'Role',
  'RoleBinding',
  'ClusterRoleBinding',
  'DaemonSet',
  'StatefulSet',
  'CronJob',
  'Ingress',
  'MutatingWebhookConfiguration',
  'ResourceQuota',
  'toString',
] as const;

/** Fields that need the scope admin. */
export const ADMIN_FIELDS: readonly (readonly [field: string, definition: object])[] = [
  ['overrides', { overrides: { Deployment: { spec: { minReadySeconds: 30 } } } }],
  ['command', { command: ['/bin/sh', '-c', 'curl example.com'] }],
  ['args', { args: ['--trust-remote-code'] }],
];

/** Annotations by which something in the cluster may hand out more. */
export const HANDED_OUT = [
  'sidecar.istio.io/userVolume',
  'vault.hashicorp.com/agent-inject-secret-db',
  'k8s.v1.cni.cncf.io/networks',
  'iam.amazonaws.com/role',
  'cdi.k8s.io/vendor',
  'ad.datadoghq.com/server.checks',
  'io.kubernetes.cri-o.Devices',
  'run.oci.handler',
] as const;

/** Labels by which Services of others may select. */
export const SELECTED_BY = ['app', 'k8s-app', 'run', 'name', 'service'] as const;

export const ALLOWED_REGISTRIES = ['ghcr.io', 'registry.example.com/team/'];
export const IMAGES: readonly (readonly [image: string, fine: boolean])[] = [
  ['ghcr.io/suoke/iris:1', true],
  ['registry.example.com/team/iris:1', true],
  ['registry.example.com/team/iris@sha256:' + 'a'.repeat(64), true],
  ['registry.example.com/other/iris:1', false],
  ['registry.example.com/teammate/iris:1', false],
  ['registry.example.com.evil.com/team/iris:1', false],
  ['evil.com/registry.example.com/team/iris:1', false],
  ['registry.example.com:5000/team/iris:1', false],
  ['ghcr.io:443/suoke/iris:1', false],
  ['GHCR.io/suoke/iris:1', true],
  ['suoke/iris:1', false],
  ['iris:1', false],
];

export const ALLOWED_SECRETS = ['shared', 'router-keys', 'ai-model-service-keys'];

export const ALLOWED_HOSTS = [
  'models.example.com',
  '*.store.example.com',
  'minio.example.com:9000',
];
export const SOURCES: readonly (readonly [uri: string, fine: boolean])[] = [
  ['https://models.example.com/x.pkl', true],
  ['https://MODELS.example.com:443/x.pkl', true],
  ['https://models.example.com./x.pkl', true],
  ['https://models.example.com:8443/x.pkl', true],
  ['https://a.store.example.com/x.pkl', true],
  ['https://store.example.com/x.pkl', false],
  ['https://evilstore.example.com/x.pkl', false],
  ['https://models.example.com.evil.com/x.pkl', false],
  ['https://evil.com/models.example.com/x.pkl', false],
  ['https://evil.com#models.example.com', false],
  ['https://evil.com?models.example.com', false],
  ['https://minio.example.com:9000/x.pkl', true],
  ['https://minio.example.com/x.pkl', false],
  ['oci://ghcr.io/suoke/iris:1', false],
  ['s3://bucket/x.pkl', true],
];

/** Where no artifact is ever loaded from. */
export const NOWHERE = [
  'https://localhost/x.pkl',
  'https://LOCALHOST./x.pkl',
  'https://a.localhost/x.pkl',
  'https://127.0.0.1/x.pkl',
  'https://127.1/x.pkl',
  'https://2130706433/x.pkl',
  'https://0x7f000001/x.pkl',
  'https://0177.0.0.1/x.pkl',
  'https://0/x.pkl',
  'https://169.254.169.254/latest/meta-data/iam',
  'https://2852039166/x.pkl',
  'https://0xa9fea9fe/x.pkl',
  'https://0xA9.0xFE.0xA9.0xFE/x.pkl',
  'https://169.254.43518/x.pkl',
  'https://169。254。169。254/x.pkl',
  'https://①69.254.169.254/x.pkl',
  'https://[::1]/x.pkl',
  'https://[::]/x.pkl',
  'https://[0:0:0:0:0:0:0:1]/x.pkl',
  'https://[::ffff:127.0.0.1]/x.pkl',
  'https://[::ffff:a9fe:a9fe]/x.pkl',
  'https://[::169.254.169.254]/x.pkl',
  'https://[64:ff9b::a9fe:a9fe]/x.pkl',
  'https://[2002:a9fe:a9fe::]/x.pkl',
  'https://[fe80::1]/x.pkl',
  'https://[fd00:ec2::254]/x.pkl',
  'https://metadata.google.internal/computeMetadata/v1',
  'https://metadata/x.pkl',
  'https://168.63.129.16/x.pkl',
  'https://100.100.100.200/x.pkl',
  'https://models.example.com@169.254.169.254/x.pkl',
  'https://models.example.com:x@127.0.0.1/x.pkl',
  'https://models.example.com\\@127.0.0.1/x.pkl',
  'https://127.0.0.1%2f.example.com/x.pkl',
  'https://%31%32%37.0.0.1/x.pkl',
  'HTTPS://127.0.0.1/x.pkl',
  'oci://127.0.0.1:5000/iris:1',
  'oci://169.254.169.254/iris:1',
  'hf://127.0.0.1%23/x@main',
];

export const sourceOf = (uri: string): object => ({ framework: 'sklearn', source: { uri } });

/** What a definition asks for by itself, and how the field that is named ends. */
export type Asking = readonly [
  what: string,
  definition: object,
  path: string,
  code: 'FORBIDDEN' | 'INVALID_MODEL_CONFIG',
];

const asking = (what: string, definition: object, path: string): Asking => [
  what,
  definition,
  path,
  'INVALID_MODEL_CONFIG',
];

const secretEnv = (secret: string): object => ({ env: { A_TOKEN: { secret, key: 'x' } } });
const SECRET_PATH = 'valueFrom.secretKeyRef.name';

/** All that a writer of definitions can try without the scope admin. */
export const ASKINGS: readonly Asking[] = [
  ...ADMIN_FIELDS.map(([field, definition]): Asking => [field, definition, field, 'FORBIDDEN']),
  ...HANDED_OUT.map((key) =>
    asking(`annotation ${key}`, { annotations: { [key]: 'x' } }, `annotations["${key}"]`),
  ),
  ...SELECTED_BY.map((key) =>
    asking(
      `label ${key}`,
      { labels: { [key]: 'payments' } },
      key === 'k8s-app' ? 'metadata.labels["k8s-app"]' : `metadata.labels.${key}`,
    ),
  ),
  asking('the service’s label', { labels: { app: 'ai-model-service' } }, 'metadata.labels.app'),
  ...IMAGES.filter(([, fine]) => !fine).map(([image]) =>
    asking(`image ${image}`, { image }, 'containers[0].image'),
  ),
  ...NOWHERE.map((uri) => asking(`source ${uri}`, sourceOf(uri), 'repository_url')),
  ...SOURCES.filter(([, fine]) => !fine).map(([uri]) =>
    asking(`source ${uri}`, sourceOf(uri), 'repository_url'),
  ),
  asking(
    'a store at the metadata service',
    { source: { uri: 's3://models/iris', endpoint: 'http://169.254.169.254/' } },
    'repository_url.endpoint',
  ),
  asking(
    'a candidate from this machine',
    { candidates: [{ version: 'v2', source: 'https://[::1]/x.pkl', traffic: 1 }] },
    'candidates[0].repository_url',
  ),
  asking(
    'a file that nobody brought',
    { framework: 'onnx', source: './iris.onnx', cache: null },
    'repository_url',
  ),
  ...['db', 'iris-two--keys', 'ai-model-service-keys', 'ai-model-service-state'].map((name) =>
    asking(`Secret ${name}`, secretEnv(name), SECRET_PATH),
  ),
  asking(
    'a Secret of somebody for its store',
    { source: { uri: 's3://models/iris', credentials: { secret: 'db' } } },
    '.name',
  ),
  asking(
    'the volume of another model',
    { source: 'pvc://other--cache/iris.pkl', cache: null },
    'persistentVolumeClaim.claimName',
  ),
  asking(
    'the cluster’s priority',
    { scheduling: { priorityClass: 'system-node-critical' } },
    'spec.priorityClassName',
  ),
];
