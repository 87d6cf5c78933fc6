import type { EnvironmentInput } from '../../lib/spec';
import * as known from '../../lib/objects';

// What was tried to get more by REST than a model of one's own. test/core/policy.test.ts asks the
// policy about each, test/control/policy.test.ts the service, test/e2e/cluster/policy.e2e.ts the
// service as it runs in a cluster.

/** A merge patch on the objects of a kind, or on one of a name: what an override would say. */
export type Attack = readonly [what: string, kind: string, patch: object];

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

const podOf = (spec: object): object => ({ spec: { template: { spec } } });
const serverWith = (more: object): object =>
  podOf({ containers: [{ name: 'server', image: 'a/b:1', ...more }] });
const volumeOf = (source: object): object => podOf({ volumes: [{ name: 'x', ...source }] });
const security = (more: object): object => serverWith({ securityContext: more });
const env = (valueFrom: object): object => serverWith({ env: [{ name: 'X', valueFrom }] });

export const POD_ATTACKS: readonly Attack[] = [
  ['another account', 'Deployment', podOf({ serviceAccountName: 'default' })],
  ['the service’s account', 'Deployment', podOf({ serviceAccountName: 'ai-model-service' })],
  ['another account by its old name', 'Deployment', podOf({ serviceAccount: 'admin' })],
  ['a token', 'Deployment', podOf({ automountServiceAccountToken: true })],
  ['a token by default', 'Deployment', podOf({ automountServiceAccountToken: null })],
  [
    'a projected token',
    'Deployment',
    volumeOf({ projected: { sources: [{ serviceAccountToken: { path: 't' } }] } }),
  ],
  ['the host’s files', 'Deployment', volumeOf({ hostPath: { path: '/' } })],
  ['a network file system', 'Deployment', volumeOf({ nfs: { server: 'x', path: '/' } })],
  [
    'a driver of the node',
    'Deployment',
    volumeOf({ csi: { driver: 'x', nodePublishSecretRef: { name: 's' } } }),
  ],
  ['a flex volume', 'Deployment', volumeOf({ flexVolume: { driver: 'x' } })],
  ['a copy of a claim', 'Deployment', volumeOf({ ephemeral: { volumeClaimTemplate: {} } })],
  ['an image as a volume', 'Deployment', volumeOf({ image: { reference: 'evil/x:1' } })],
  [
    'the cache of another model',
    'Deployment',
    volumeOf({ persistentVolumeClaim: { claimName: 'other--cache' } }),
  ],
  [
    'a raw device',
    'Deployment',
    serverWith({ volumeDevices: [{ name: 'x', devicePath: '/dev/x' }] }),
  ],
  ['the host’s network', 'Deployment', podOf({ hostNetwork: true })],
  ['the host’s processes', 'Deployment', podOf({ hostPID: true })],
  ['the host’s shared memory', 'Deployment', podOf({ hostIPC: true })],
  [
    'a port of the host',
    'Deployment',
    serverWith({ ports: [{ containerPort: 80, hostPort: 80 }] }),
  ],
  [
    'an address of the host',
    'Deployment',
    serverWith({ ports: [{ containerPort: 80, hostIP: '0.0.0.0' }] }),
  ],
  ['a node of its choice', 'Deployment', podOf({ nodeName: 'control-plane' })],
  ['a scheduler of its own', 'Deployment', podOf({ schedulerName: 'mine' })],
  ['the cluster’s priority', 'Deployment', podOf({ priorityClassName: 'system-node-critical' })],
  ['a priority as a number', 'Deployment', podOf({ priority: 2_000_001_000 })],
  ['another sandbox', 'Deployment', podOf({ runtimeClassName: 'unconfined' })],
  ['devices by claim', 'Deployment', podOf({ resourceClaims: [{ name: 'gpu' }] })],
  ['everything', 'Deployment', security({ privileged: true })],
  ['more rights later', 'Deployment', security({ allowPrivilegeEscalation: true })],
  ['a capability', 'Deployment', security({ capabilities: { add: ['SYS_ADMIN'] } })],
  ['an unmasked /proc', 'Deployment', security({ procMount: 'Unmasked' })],
  ['no seccomp', 'Deployment', security({ seccompProfile: { type: 'Unconfined' } })],
  ['no AppArmor', 'Deployment', security({ appArmorProfile: { type: 'Unconfined' } })],
  ['another SELinux type', 'Deployment', security({ seLinuxOptions: { type: 'spc_t' } })],
  ['another SELinux user', 'Deployment', security({ seLinuxOptions: { user: 'root' } })],
  ['a Windows host process', 'Deployment', security({ windowsOptions: { hostProcess: true } })],
  [
    'a group account of Windows',
    'Deployment',
    security({ windowsOptions: { gmsaCredentialSpecName: 'x' } }),
  ],
  [
    'a sysctl of the node',
    'Deployment',
    podOf({ securityContext: { sysctls: [{ name: 'kernel.msgmax', value: '1' }] } }),
  ],
  [
    'the host process of a whole pod',
    'Deployment',
    podOf({ securityContext: { windowsOptions: { hostProcess: true } } }),
  ],
  ['a foreign Secret in env', 'Deployment', env({ secretKeyRef: { name: 'db', key: 'x' } })],
  [
    'a Secret of another model',
    'Deployment',
    env({ secretKeyRef: { name: 'iris-two--keys', key: 'x' } }),
  ],
  [
    'the service’s own Secret',
    'Deployment',
    env({ secretKeyRef: { name: 'ai-model-service-keys', key: 'x' } }),
  ],
  [
    'a foreign ConfigMap in env',
    'Deployment',
    env({ configMapKeyRef: { name: 'ai-model-service-state', key: 'x' } }),
  ],
  ['a new kind of reference', 'Deployment', env({ fileKeyRef: { path: '/x' } })],
  ['all of a Secret', 'Deployment', serverWith({ envFrom: [{ secretRef: { name: 'db' } }] })],
  ['all of a ConfigMap', 'Deployment', serverWith({ envFrom: [{ configMapRef: { name: 'db' } }] })],
  ['a Secret as a volume', 'Deployment', volumeOf({ secret: { secretName: 'db' } })],
  ['a ConfigMap as a volume', 'Deployment', volumeOf({ configMap: { name: 'db' } })],
  [
    'a projected Secret',
    'Deployment',
    volumeOf({ projected: { sources: [{ secret: { name: 'db' } }] } }),
  ],
  [
    'a projected ConfigMap',
    'Deployment',
    volumeOf({ projected: { sources: [{ configMap: { name: 'db' } }] } }),
  ],
  ['a pull Secret', 'Deployment', podOf({ imagePullSecrets: [{ name: 'db' }] })],
  [
    'a pull Secret as a Secret',
    'Deployment',
    env({ secretKeyRef: { name: 'pull', key: '.dockerconfigjson' } }),
  ],
  [
    'an answer of another host to the kubelet',
    'Deployment',
    serverWith({ livenessProbe: { httpGet: { host: '169.254.169.254', port: 80 } } }),
  ],
  [
    'a connection of the kubelet',
    'Deployment',
    serverWith({ readinessProbe: { tcpSocket: { host: '10.0.0.1', port: 1 } } }),
  ],
  [
    'a request of the kubelet at the end',
    'Deployment',
    serverWith({ lifecycle: { preStop: { httpGet: { host: 'x', port: 1 } } } }),
  ],
  [
    'an init container that is privileged',
    'Deployment',
    podOf({ initContainers: [{ name: 'i', securityContext: { privileged: true } }] }),
  ],
  ['an ephemeral container', 'Deployment', podOf({ ephemeralContainers: [{ name: 'e' }] })],
  ['a field of the future', 'Deployment', podOf({ hostEverything: true })],
  ['a field named like a method', 'Deployment', podOf({ constructor: true })],
  ['an object in place of a list', 'Deployment', podOf({ containers: { a: 1 } })],
  [
    'the label of another model',
    'Deployment',
    { spec: { template: { metadata: { labels: { [known.MODEL_LABEL]: 'other' } } } } },
  ],
  [
    'the label of another arm',
    'Deployment',
    { spec: { template: { metadata: { labels: { [known.ARM_LABEL]: 'v2' } } } } },
  ],
  [
    'the label of the service',
    'Deployment',
    { spec: { template: { metadata: { labels: { app: 'ai-model-service' } } } } },
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
  ],
  [
    'a finalizer on pods',
    'Deployment',
    { spec: { template: { metadata: { finalizers: ['x/y'] } } } },
  ],
];

export const OBJECT_ATTACKS: readonly Attack[] = [
  ['another namespace', 'Deployment', { metadata: { namespace: 'kube-system' } }],
  ['no namespace', 'Deployment', { metadata: { namespace: null } }],
  ['another name', 'Deployment', { metadata: { name: 'other' } }],
  ['a made-up name', 'Service', { metadata: { generateName: 'x' } }],
  ['the service’s name', 'ServiceAccount', { metadata: { name: 'ai-model-service' } }],
  ['a name of the service’s own', 'ConfigMap', { metadata: { name: 'ai-model-service-state' } }],
  ['a name with more behind it', 'ConfigMap', { metadata: { name: 'iris--model-2' } }],
  [
    'the label of another model',
    'Deployment',
    { metadata: { labels: { [known.MODEL_LABEL]: 'other' } } },
  ],
  ['no label of the model', 'PodDisruptionBudget', { metadata: { labels: null } }],
  ['owners', 'Deployment', { metadata: { ownerReferences: [{ name: 'x' }] } }],
  ['finalizers', 'ConfigMap', { metadata: { finalizers: ['x/y'] } }],
  ['another version of the API', 'HorizontalPodAutoscaler', { apiVersion: 'autoscaling/v2beta2' }],
  [
    'pods of another model',
    'Deployment',
    { spec: { selector: { matchLabels: { [known.MODEL_LABEL]: 'other' } } } },
  ],
  ['pods by expression', 'Deployment', { spec: { selector: { matchExpressions: [] } } }],
  ['a number of replicas', 'Deployment', { spec: { replicas: 100 } }],
  [
    'another Deployment to scale',
    'HorizontalPodAutoscaler',
    { spec: { scaleTargetRef: { name: 'other' } } },
  ],
  [
    'another kind to scale',
    'HorizontalPodAutoscaler',
    { spec: { scaleTargetRef: { kind: 'StatefulSet' } } },
  ],
  ['a budget over all pods', 'PodDisruptionBudget', { spec: { selector: { matchLabels: null } } }],
  [
    'a policy over all pods',
    'NetworkPolicy',
    { spec: { podSelector: { matchLabels: { [known.MODEL_LABEL]: null } } } },
  ],
  ['requests of others', 'Service', { spec: { selector: { [known.MODEL_LABEL]: 'other' } } }],
  ['no selector', 'Service', { spec: { selector: null } }],
  ['addresses of others', 'Service', { spec: { externalIPs: ['10.0.0.1'] } }],
  ['a name of others', 'Service', { spec: { type: 'ExternalName' } }],
  ['a port of the nodes', 'Service', { spec: { ports: [{ port: 1, nodePort: 30_000 }] } }],
  ['a load balancer', 'Service', { spec: { type: 'LoadBalancer' } }],
  ['a token of the account', 'ServiceAccount', { automountServiceAccountToken: true }],
  ['a token of the account by default', 'ServiceAccount', { automountServiceAccountToken: null }],
  ['Secrets of the account', 'ServiceAccount', { secrets: [{ name: 'db' }] }],
  ['pull Secrets of the account', 'ServiceAccount', { imagePullSecrets: [{ name: 'db' }] }],
  ['a volume by name', 'PersistentVolumeClaim', { spec: { volumeName: 'pv-of-others' } }],
  [
    'a copy of a claim',
    'PersistentVolumeClaim',
    { spec: { dataSource: { kind: 'PersistentVolumeClaim', name: 'x' } } },
  ],
  ['a host path in the cache’s Job', 'Job', volumeOf({ hostPath: { path: '/' } })],
  ['pods of others for a Job', 'Job', { spec: { manualSelector: true } }],
  [
    'a token of Prometheus',
    'PodMonitor',
    { spec: { podMetricsEndpoints: [{ bearerTokenSecret: { name: 'x' } }] } },
  ],
  ['pods of other namespaces', 'PodMonitor', { spec: { namespaceSelector: { any: true } } }],
  [
    'a rule that records',
    'PrometheusRule',
    { spec: { groups: [{ rules: [{ record: 'up', expr: '0' }] }] } },
  ],
  ['a second definition', 'ConfigMap/iris--model', { data: { 'more.json': '{}' } }],
  [
    'the definition of another model',
    'ConfigMap/iris--model',
    { data: { 'definition.json': '{"model_id":"other"}' } },
  ],
  ['an invalid definition', 'ConfigMap/iris--model', { data: { 'definition.json': 'x' } }],
  ['a status', 'Deployment', { status: { readyReplicas: 9 } }],
  [
    'the label of another arm',
    'Deployment/iris',
    { metadata: { labels: { [known.ARM_LABEL]: 'v2' } } },
  ],
  [
    'another version of what is scaled',
    'HorizontalPodAutoscaler',
    { spec: { scaleTargetRef: { apiVersion: 'example.com/v1' } } },
  ],
  ['an address of its choice', 'Service', { spec: { clusterIP: '10.96.0.10' } }],
  ['a raw device', 'PersistentVolumeClaim', { spec: { volumeMode: 'Block' } }],
  [
    'a claim on devices',
    'PersistentVolumeClaim',
    { spec: { resources: { claims: [{ name: 'x' }] } } },
  ],
];

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

/** Fields that REST has no words for, whatever the key. */
export const UNSPOKEN: readonly (readonly [path: string, definition: object])[] = [
  ['overrides', { overrides: { Deployment: { spec: { minReadySeconds: 30 } } } }],
  ['command', { command: ['/bin/sh', '-c', 'curl example.com'] }],
  ['args', { args: ['--trust-remote-code'] }],
  ['args', { image: 'ghcr.io/suoke/iris:1', args: ['--log-verbose=1'] }],
  ...[
    { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::1:role/admin' },
    { 'iam.gke.io/gcp-service-account': 'admin@p.iam.gserviceaccount.com' },
    { 'azure.workload.identity/client-id': 'x' },
  ].map(
    (serviceAccountAnnotations) =>
      ['service_account_annotations', { serviceAccountAnnotations }] as const,
  ),
];

/** Annotations by which something in the cluster may hand out more. */
export const HANDED_OUT = [
  'sidecar.istio.io/userVolume',
  'vault.hashicorp.com/agent-inject-secret-db',
  'k8s.v1.cni.cncf.io/networks',
  'iam.amazonaws.com/role',
  'cdi.k8s.io/vendor',
  'ad.datadoghq.com/server.checks',
  'prometheus.io/scrape',
  'cluster-autoscaler.kubernetes.io/safe-to-evict',
  'container.apparmor.security.beta.kubernetes.io/server',
  'external-dns.alpha.kubernetes.io/hostname',
  'example.com/x',
  'io.kubernetes.cri-o.Devices',
  'run.oci.handler',
] as const;

/** Labels by which webhooks, Services and NetworkPolicies of others select. */
export const SELECTED_BY = [
  'app',
  'k8s-app',
  'run',
  'name',
  'service',
  'component',
  'role',
  'access',
  'azure.workload.identity/use',
  'sidecar.istio.io/inject',
  'istio.io/rev',
  'linkerd.io/inject',
  'admission.datadoghq.com/enabled',
  'kueue.x-k8s.io/queue-name',
  'pod-security.example.com/exempt',
  'example.com/app',
] as const;

/** Names of variables that change what runs, whom it trusts or who it is. */
export const VARIABLES = [
  'LD_PRELOAD',
  'GDAL_DRIVER_PATH',
  'LADSPA_PATH',
  'MAGICK_CONFIGURE_PATH',
  'LIBVA_DRIVERS_PATH',
  'SASL_PATH',
  'MPLBACKEND',
  'NLTK_DATA',
  'PRE_START_PATH',
  'APP_MODULE',
  'LD_LIBRARY_PATH',
  'LD_AUDIT',
  'ld_preload',
  'DYLD_INSERT_LIBRARIES',
  'GCONV_PATH',
  'GLIBC_TUNABLES',
  'PATH',
  'HOME',
  'ENV',
  'BASH_ENV',
  'SHELLOPTS',
  'PROMPT_COMMAND',
  'PYTHONPATH',
  'PYTHONSTARTUP',
  'PYTHONHOME',
  'PYTHONUNBUFFERED',
  'PIP_INDEX_URL',
  'NODE_OPTIONS',
  'NODE_PATH',
  'NODE_EXTRA_CA_CERTS',
  'NODE_TLS_REJECT_UNAUTHORIZED',
  'npm_config_registry',
  'JAVA_TOOL_OPTIONS',
  '_JAVA_OPTIONS',
  'JDK_JAVA_OPTIONS',
  'JAVA_OPTS',
  'CLASSPATH',
  'PERL5OPT',
  'PERL5LIB',
  'RUBYOPT',
  'RUBYLIB',
  'PHP_INI_SCAN_DIR',
  'LUA_INIT',
  'R_PROFILE',
  'JULIA_LOAD_PATH',
  'ERL_FLAGS',
  'DOTNET_STARTUP_HOOKS',
  'CORECLR_PROFILER_PATH',
  'ASPNETCORE_HOSTINGSTARTUPASSEMBLIES',
  'GUNICORN_CMD_ARGS',
  'OPENSSL_CONF',
  'OPENSSL_MODULES',
  'SSL_CERT_FILE',
  'SSLKEYLOGFILE',
  'REQUESTS_CA_BUNDLE',
  'HTTPS_PROXY',
  'http_proxy',
  'ALL_PROXY',
  'NO_PROXY',
  'AWS_ENDPOINT_URL',
  'AWS_ENDPOINT_URL_S3',
  'AWS_ROLE_ARN',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
  'AWS_CONTAINER_CREDENTIALS_FULL_URI',
  'GOOGLE_APPLICATION_CREDENTIALS',
  'AZURE_FEDERATED_TOKEN_FILE',
  'KUBERNETES_SERVICE_HOST',
  'KUBECONFIG',
  'HF_ENDPOINT',
  'HF_HOME',
  'HF_MODULES_CACHE',
  'TRUST_REMOTE_CODE',
  'DATASETS_TRUST_REMOTE_CODE',
  'TRANSFORMERS_CACHE',
  'TORCH_HOME',
  'TORCHINDUCTOR_CACHE_DIR',
  'TRITON_PTXAS_PATH',
  'TF_PLUGGABLE_DEVICE_LIBRARY_PATH',
  'CUDA_INJECTION64_PATH',
  'NVTX_INJECTION64_PATH',
  'NVIDIA_VISIBLE_DEVICES',
  'NCCL_NET_PLUGIN',
  'NCCL_TUNER_PLUGIN',
  'OMP_TOOL_LIBRARIES',
  'OMPI_MCA_btl',
  'UCX_MODULE_DIR',
  'FI_PROVIDER_PATH',
  'RAY_ADDRESS',
  'MLSERVER_MODEL_IMPLEMENTATION',
  'MLSERVER_EXTENSIONS',
  'MLSERVER_LOGGING_SETTINGS',
  'VLLM_PLUGINS',
  'VLLM_LOGGING_CONFIG_PATH',
  'VLLM_ALLOW_INSECURE_SERIALIZATION',
  'AI_MODEL_SERVICE__AUTH__KEYS',
  'MODEL_BASE_PATH',
  'MY_AGENT_PRELOAD',
  'MY_JVM_OPTS',
] as const;

/** Names that only the application reads, or that change speed and logging. */
export const PLAIN_VARIABLES = [
  'TOKEN',
  'THRESHOLD',
  'MODEL_PATH',
  'AI_MODEL_ID',
  'LOG_LEVEL',
  'FEATURE_FLAGS',
  'HF_TOKEN',
  'AWS_ACCESS_KEY_ID',
  'AWS_REGION',
  'OMP_NUM_THREADS',
  'CUDA_VISIBLE_DEVICES',
  'NCCL_DEBUG',
  'TOKENIZERS_PARALLELISM',
  'MLSERVER_MODEL_HUGGINGFACE_TASK',
  'VLLM_LOGGING_LEVEL',
  'TF_CPP_MIN_LOG_LEVEL',
] as const;

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
  ['evil.example/ghcr.io/suoke/iris:1', false],
  ['Evil/iris:1', false],
  ['localhost/iris:1', false],
  ['suoke/iris:1', false],
  ['iris:1', false],
];

export const ALLOWED_SECRETS = ['shared', 'ai-model-service-keys'];

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

/** Where no artifact is loaded from: this machine, metadata services, and what is inside. */
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
  'https://[fd20:ce::254]/x.pkl',
  'https://[fd00:c1::a9fe:a9fe]/x.pkl',
  'https://[fd12::1]/x.pkl',
  'https://[64:ff9b:1::a9fe:a9fe]/x.pkl',
  'https://１２７.0.0.1/x.pkl',
  'https://10.1.2.3/x.pkl',
  'https://172.16.0.1/x.pkl',
  'https://192.168.1.1/x.pkl',
  'https://100.64.0.1/x.pkl',
  'https://kubernetes/x.pkl',
  'https://kubernetes.default.svc/api',
  'https://kubernetes.default.svc.cluster.local./api',
  'https://foo.internal:10250/pods',
  'https://metadata.tencentyun.com/x.pkl',
  'https://169.254.169.254.nip.io/x.pkl',
  'https://10-0-0-1.sslip.io/x.pkl',
  'https://localtest.me/x.pkl',
  'oci://registry.kube-system.svc:5000/iris:1',
  'oci://registry:5000/iris:1',
];

/** What no parser and no store would take apart in the same way. */
export const UNCLEAR = [
  'hf://127.0.0.1%23/x@main',
  'hf://a/b@../../x',
  'hf://../../x',
  'hf://a/b@main/%2e%2e/x',
  'oci://reg.example.com/../x:1',
  'oci://reg.example.com/a/%2E%2E/x:1',
  'gs://a/%2e%2e/x',
  's3://a/b/../x',
  's3://a/b%2f..%2f..%2fx',
  'https://h.example.com/a/../x',
  'https://h.example.com/a%2f..%2fx',
  'https://h.example.com/a\\..\\x',
  'https://h.example.com/a%5c..%5cx',
  'pvc://iris--data/../x',
] as const;

export const sourceOf = (uri: string): object => ({ framework: 'sklearn', source: { uri } });

/** What a definition asks for by itself, and the field that is named, as REST calls it. */
export type Asking = readonly [what: string, definition: object, path: string];

const secretEnv = (secret: string): object => ({ env: { A_TOKEN: { secret, key: 'x' } } });
const quoted = (key: string): string =>
  /^[A-Za-z_]\w*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;

/** What fits into no other table. */
const OTHERS: readonly Asking[] = [
  [
    'a store at the metadata service',
    { source: { uri: 's3://models/iris', endpoint: 'http://169.254.169.254/' } },
    'repository_url.endpoint',
  ],
  [
    'a store at the API server',
    { source: { uri: 's3://models/iris', endpoint: 'https://kubernetes.default.svc' } },
    'repository_url.endpoint',
  ],
  [
    'a candidate from this machine',
    { candidates: [{ version: 'v2', source: 'https://[::1]/x.pkl', traffic: 1 }] },
    'candidates[0].repository_url',
  ],
  [
    'a candidate’s image from elsewhere',
    { candidates: [{ version: 'v2', image: 'evil.com/iris:1', traffic: 1 }] },
    'candidates[0].docker_image',
  ],
  [
    'an image of its own for a server',
    { server: { kind: 'mlserver', image: 'evil.com/mlserver:1' } },
    'server.image',
  ],
  [
    'a variable of a candidate',
    { candidates: [{ version: 'v2', env: { LD_PRELOAD: '/x' }, traffic: 1 }] },
    'candidates[0].environment_variables.LD_PRELOAD',
  ],
  [
    'a class by its name',
    { server: { kind: 'mlserver', implementation: 'os.system' } },
    'server.implementation',
  ],
  [
    'a foreign Secret for its store',
    { source: { uri: 's3://models/iris', credentials: { secret: 'db' } } },
    'repository_url.credentials.secret',
  ],
  [
    'a foreign authority',
    { source: { uri: 's3://models/iris', credentials: null, ca: 'db' } },
    'repository_url.ca',
  ],
  ...['other--cache', 'postgres-data', 'ai-model-service-x', 'iris-two--cache'].map(
    (claim): Asking => [
      `the claim ${claim}`,
      { source: `pvc://${claim}/iris.pkl`, cache: null },
      'repository_url',
    ],
  ),
  ...['system-node-critical', 'production'].map((priorityClass): Asking => [
    `the priority ${priorityClass}`,
    { scheduling: { priorityClass } },
    'scheduling.priority_class',
  ]),
  [
    'another sandbox',
    { scheduling: { runtimeClass: 'kata-privileged' } },
    'scheduling.runtime_class',
  ],
  ['another storage', { cache: { size: '1Gi', storageClass: 'nfs' } }, 'cache.storage_class'],
  [
    'the control plane',
    { scheduling: { nodeSelector: { 'node-role.kubernetes.io/control-plane': '' } } },
    'scheduling.node_selector["node-role.kubernetes.io/control-plane"]',
  ],
  ...[
    { operator: 'Exists' },
    { key: 'node-role.kubernetes.io/control-plane', operator: 'Exists' },
    { key: 'dedicated', operator: 'Equal', value: 'payments' },
  ].map((toleration): Asking => [
    `nodes kept for others: ${JSON.stringify(toleration)}`,
    { scheduling: { tolerations: [toleration] } },
    'scheduling.tolerations[0]',
  ]),
  [
    'a device of the node',
    { resources: { gpu: { count: 1, resource: 'smarter-devices/fuse' } } },
    'resource_requirements.gpu.resource',
  ],
];

/** All that a caller of REST can try, whatever the key. */
export const ASKINGS: readonly Asking[] = [
  ...UNSPOKEN.map(([path, definition]): Asking => [JSON.stringify(definition), definition, path]),
  ...HANDED_OUT.map((key): Asking => [
    `annotation ${key}`,
    { annotations: { [key]: 'x' } },
    `annotations${quoted(key)}`,
  ]),
  ...SELECTED_BY.map((key): Asking => [
    `label ${key}`,
    { labels: { [key]: 'payments' } },
    `labels${quoted(key)}`,
  ]),
  ['the service’s label', { labels: { app: 'ai-model-service' } }, 'labels.app'],
  ...VARIABLES.map((name): Asking => [
    `variable ${name}`,
    { env: { [name]: '/x' } },
    `environment_variables.${name}`,
  ]),
  ...IMAGES.filter(([, fine]) => !fine).map(([image]): Asking => [
    `image ${image}`,
    { image },
    'docker_image',
  ]),
  ...UNCLEAR.map((uri): Asking => [`source ${uri}`, sourceOf(uri), 'repository_url.uri']),
  ...NOWHERE.map((uri): Asking => [`source ${uri}`, sourceOf(uri), 'repository_url']),
  ...SOURCES.filter(([, fine]) => !fine).map(([uri]): Asking => [
    `source ${uri}`,
    sourceOf(uri),
    'repository_url',
  ]),
  ...['db', 'router-keys', 'iris-two--keys', 'ai-model-service-keys', 'ai-model-service-state'].map(
    (name): Asking => [`Secret ${name}`, secretEnv(name), 'environment_variables.A_TOKEN.secret'],
  ),
  ...OTHERS,
];
