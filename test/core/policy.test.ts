import fc from 'fast-check';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import * as names from '../../lib/objects';
import { objectsOf } from '../../lib/objects';
import type { Environment, EnvironmentInput, ModelSpec } from '../../lib/spec';
import { DefinitionError, mergePatch, parseEnvironment } from '../../lib/spec';
import type { PolicyContext, Violation } from '../../runtime/core/policy';
import { policyViolations } from '../../runtime/core/policy';
import * as known from '../../runtime/core/policy/context';
import { models } from '../support/arbitrary';
import { model, specOf } from '../support/manifests';

type Plain = Readonly<Record<string, unknown>>;

/** Every Secret a definition names. */
function secretsOf({ arms }: ModelSpec): readonly string[] {
  return arms.flatMap(({ env, source }) => [
    ...Object.values(env).flatMap((value) => (typeof value === 'string' ? [] : [value.secret])),
    ...[source?.credentials?.secret, source?.ca].filter((name) => name !== undefined),
  ]);
}

function contextOf(
  spec: ModelSpec,
  environment: Environment,
  more: Partial<PolicyContext> = {},
): PolicyContext {
  const files = spec.arms.flatMap(({ source }) => source?.content?.sha256 ?? []);
  const { registry, images } = environment;
  const prefix = registry === undefined ? '' : `${registry}/`;
  return {
    spec,
    namespace: environment.namespace,
    admin: false,
    allowedSecrets: [],
    pullSecrets: environment.imagePullSecrets,
    trustedImages: Object.values(images).flatMap((image) => [image, `${prefix}${image}`]),
    own: ['router-keys'],
    ownLabels: { app: 'ai-model-service' },
    knownFiles: new Set(files),
    ...more,
  };
}

/** A cached model with two arms: it has every kind of object. */
const FULL = {
  framework: 'sklearn',
  source: { uri: 's3://models/iris', credentials: { secret: 'iris--s3' }, ca: 'iris--ca' },
  cache: { size: '1Gi' },
  env: { TOKEN: { secret: 'iris--keys', key: 'token' } },
  scaling: { minReplicas: 2, maxReplicas: 4 },
  candidates: [{ version: 'v2', traffic: 10 }],
};
const EVERYTHING: EnvironmentInput = {
  monitoring: { style: 'operator' },
  networkPolicy: { from: [{ podLabels: { app: 'client' } }] },
  imagePullSecrets: ['pull'],
};

interface Scene {
  readonly definition?: object;
  readonly more?: Partial<PolicyContext>;
}

function found(scene: Scene, change: (objects: Plain[]) => readonly unknown[] = (all) => all) {
  const spec = specOf(model({ ...FULL, ...scene.definition }));
  const environment = parseEnvironment(EVERYTHING);
  const objects = change(objectsOf(spec, environment));
  return policyViolations(objects, contextOf(spec, environment, scene.more));
}

/** The objects with a merge patch on the first of a kind (and name). */
function patched(kind: string, patch: object, more: Partial<PolicyContext> = {}) {
  const [wanted, name] = kind.split('/');
  return found({ more }, (all) => {
    const target = all.find(
      (one) =>
        one['kind'] === wanted &&
        (name === undefined || (one['metadata'] as Plain)['name'] === name),
    );
    if (target === undefined) throw new Error(`no ${kind}`);
    return all.map((one) => (one === target ? mergePatch(one, patch) : one));
  });
}

const pathsOf = (all: readonly Violation[]): readonly string[] => all.map(({ path }) => path);

test('the kinds of a model that has everything pass, and all of them are there', () => {
  expect(found({})).toEqual([]);
  const kinds = new Set(
    objectsOf(specOf(model(FULL)), parseEnvironment(EVERYTHING)).map(({ kind }) => kind),
  );
  expect(kinds.size).toBe(11);
});

const podOf = (spec: object): object => ({ spec: { template: { spec } } });
const serverWith = (more: object): object =>
  podOf({ containers: [{ name: 'server', image: 'a/b:1', ...more }] });
const volumeOf = (source: object): object => podOf({ volumes: [{ name: 'x', ...source }] });
const security = (more: object): object => serverWith({ securityContext: more });
const env = (valueFrom: object): object => serverWith({ env: [{ name: 'X', valueFrom }] });

const C = 'spec.template.spec.containers[0]';
const V = 'spec.template.spec.volumes[0]';
const P = 'spec.template.spec';

// One attack a line: what is asked for, and where it is found.
const POD_ATTACKS: readonly (readonly [string, object, string])[] = [
  ['another account', podOf({ serviceAccountName: 'default' }), `${P}.serviceAccountName`],
  [
    'the service’s account',
    podOf({ serviceAccountName: 'ai-model-service' }),
    `${P}.serviceAccountName`,
  ],
  ['another account by its old name', podOf({ serviceAccount: 'admin' }), `${P}.serviceAccount`],
  ['a token', podOf({ automountServiceAccountToken: true }), `${P}.automountServiceAccountToken`],
  [
    'a token by default',
    podOf({ automountServiceAccountToken: null }),
    `${P}.automountServiceAccountToken`,
  ],
  [
    'a projected token',
    volumeOf({ projected: { sources: [{ serviceAccountToken: { path: 't' } }] } }),
    `${V}.projected.sources[0].serviceAccountToken`,
  ],
  ['the host’s files', volumeOf({ hostPath: { path: '/' } }), `${V}.hostPath`],
  ['a network file system', volumeOf({ nfs: { server: 'x', path: '/' } }), `${V}.nfs`],
  [
    'a driver of the node',
    volumeOf({ csi: { driver: 'x', nodePublishSecretRef: { name: 's' } } }),
    `${V}.csi`,
  ],
  ['a flex volume', volumeOf({ flexVolume: { driver: 'x' } }), `${V}.flexVolume`],
  ['a copy of a claim', volumeOf({ ephemeral: { volumeClaimTemplate: {} } }), `${V}.ephemeral`],
  ['an image as a volume', volumeOf({ image: { reference: 'evil/x:1' } }), `${V}.image`],
  [
    'the cache of another model',
    volumeOf({ persistentVolumeClaim: { claimName: 'other--cache' } }),
    `${V}.persistentVolumeClaim.claimName`,
  ],
  [
    'a raw device',
    serverWith({ volumeDevices: [{ name: 'x', devicePath: '/dev/x' }] }),
    `${C}.volumeDevices`,
  ],
  ['the host’s network', podOf({ hostNetwork: true }), `${P}.hostNetwork`],
  ['the host’s processes', podOf({ hostPID: true }), `${P}.hostPID`],
  ['the host’s shared memory', podOf({ hostIPC: true }), `${P}.hostIPC`],
  [
    'a port of the host',
    serverWith({ ports: [{ containerPort: 80, hostPort: 80 }] }),
    `${C}.ports[0].hostPort`,
  ],
  [
    'an address of the host',
    serverWith({ ports: [{ containerPort: 80, hostIP: '0.0.0.0' }] }),
    `${C}.ports[0].hostIP`,
  ],
  ['a node of its choice', podOf({ nodeName: 'control-plane' }), `${P}.nodeName`],
  ['a scheduler of its own', podOf({ schedulerName: 'mine' }), `${P}.schedulerName`],
  [
    'the cluster’s priority',
    podOf({ priorityClassName: 'system-node-critical' }),
    `${P}.priorityClassName`,
  ],
  ['a priority as a number', podOf({ priority: 2_000_001_000 }), `${P}.priority`],
  ['another sandbox', podOf({ runtimeClassName: 'unconfined' }), `${P}.runtimeClassName`],
  ['devices by claim', podOf({ resourceClaims: [{ name: 'gpu' }] }), `${P}.resourceClaims`],
  ['everything', security({ privileged: true }), `${C}.securityContext.privileged`],
  [
    'more rights later',
    security({ allowPrivilegeEscalation: true }),
    `${C}.securityContext.allowPrivilegeEscalation`,
  ],
  [
    'a capability',
    security({ capabilities: { add: ['SYS_ADMIN'] } }),
    `${C}.securityContext.capabilities.add`,
  ],
  ['an unmasked /proc', security({ procMount: 'Unmasked' }), `${C}.securityContext.procMount`],
  [
    'no seccomp',
    security({ seccompProfile: { type: 'Unconfined' } }),
    `${C}.securityContext.seccompProfile.type`,
  ],
  [
    'no AppArmor',
    security({ appArmorProfile: { type: 'Unconfined' } }),
    `${C}.securityContext.appArmorProfile.type`,
  ],
  [
    'another SELinux type',
    security({ seLinuxOptions: { type: 'spc_t' } }),
    `${C}.securityContext.seLinuxOptions.type`,
  ],
  [
    'another SELinux user',
    security({ seLinuxOptions: { user: 'root' } }),
    `${C}.securityContext.seLinuxOptions.user`,
  ],
  [
    'a Windows host process',
    security({ windowsOptions: { hostProcess: true } }),
    `${C}.securityContext.windowsOptions.hostProcess`,
  ],
  [
    'a group account of Windows',
    security({ windowsOptions: { gmsaCredentialSpecName: 'x' } }),
    `${C}.securityContext.windowsOptions.gmsaCredentialSpecName`,
  ],
  [
    'a sysctl of the node',
    podOf({ securityContext: { sysctls: [{ name: 'kernel.msgmax', value: '1' }] } }),
    `${P}.securityContext.sysctls[0].name`,
  ],
  [
    'the host process of a whole pod',
    podOf({ securityContext: { windowsOptions: { hostProcess: true } } }),
    `${P}.securityContext.windowsOptions.hostProcess`,
  ],
  [
    'a Secret of somebody in env',
    env({ secretKeyRef: { name: 'db', key: 'x' } }),
    `${C}.env[0].valueFrom.secretKeyRef.name`,
  ],
  [
    'a Secret of another model',
    env({ secretKeyRef: { name: 'iris-two--keys', key: 'x' } }),
    `${C}.env[0].valueFrom.secretKeyRef.name`,
  ],
  [
    'the service’s own Secret',
    env({ secretKeyRef: { name: 'ai-model-service-keys', key: 'x' } }),
    `${C}.env[0].valueFrom.secretKeyRef.name`,
  ],
  [
    'a ConfigMap of somebody in env',
    env({ configMapKeyRef: { name: 'ai-model-service-state', key: 'x' } }),
    `${C}.env[0].valueFrom.configMapKeyRef.name`,
  ],
  [
    'a new kind of reference',
    env({ fileKeyRef: { path: '/x' } }),
    `${C}.env[0].valueFrom.fileKeyRef`,
  ],
  [
    'all of a Secret',
    serverWith({ envFrom: [{ secretRef: { name: 'db' } }] }),
    `${C}.envFrom[0].secretRef.name`,
  ],
  [
    'all of a ConfigMap',
    serverWith({ envFrom: [{ configMapRef: { name: 'db' } }] }),
    `${C}.envFrom[0].configMapRef.name`,
  ],
  ['a Secret as a volume', volumeOf({ secret: { secretName: 'db' } }), `${V}.secret.secretName`],
  ['a ConfigMap as a volume', volumeOf({ configMap: { name: 'db' } }), `${V}.configMap.name`],
  [
    'a projected Secret',
    volumeOf({ projected: { sources: [{ secret: { name: 'db' } }] } }),
    `${V}.projected.sources[0].secret.name`,
  ],
  [
    'a projected ConfigMap',
    volumeOf({ projected: { sources: [{ configMap: { name: 'db' } }] } }),
    `${V}.projected.sources[0].configMap.name`,
  ],
  ['a pull Secret', podOf({ imagePullSecrets: [{ name: 'db' }] }), `${P}.imagePullSecrets[0].name`],
  [
    'a pull Secret as a Secret',
    env({ secretKeyRef: { name: 'pull', key: '.dockerconfigjson' } }),
    `${C}.env[0].valueFrom.secretKeyRef.name`,
  ],
  [
    'an answer of another host to the kubelet',
    serverWith({ livenessProbe: { httpGet: { host: '169.254.169.254', port: 80 } } }),
    `${C}.livenessProbe.httpGet.host`,
  ],
  [
    'a connection of the kubelet',
    serverWith({ readinessProbe: { tcpSocket: { host: '10.0.0.1', port: 1 } } }),
    `${C}.readinessProbe.tcpSocket.host`,
  ],
  [
    'a request of the kubelet at the end',
    serverWith({ lifecycle: { preStop: { httpGet: { host: 'x', port: 1 } } } }),
    `${C}.lifecycle.preStop.httpGet.host`,
  ],
  [
    'an init container that is privileged',
    podOf({ initContainers: [{ name: 'i', securityContext: { privileged: true } }] }),
    `${P}.initContainers[0].securityContext.privileged`,
  ],
  [
    'an ephemeral container',
    podOf({ ephemeralContainers: [{ name: 'e' }] }),
    `${P}.ephemeralContainers`,
  ],
  ['a field of the future', podOf({ hostEverything: true }), `${P}.hostEverything`],
  ['a field named like a method', podOf({ constructor: true }), `${P}.constructor`],
  ['something that is no list', podOf({ containers: { a: 1 } }), `${P}.containers`],
  [
    'the label of another model',
    { spec: { template: { metadata: { labels: { [known.MODEL_LABEL]: 'other' } } } } },
    `spec.template.metadata.labels["${known.MODEL_LABEL}"]`,
  ],
  [
    'the label of another arm',
    { spec: { template: { metadata: { labels: { [known.ARM_LABEL]: 'v2' } } } } },
    `spec.template.metadata.labels["${known.ARM_LABEL}"]`,
  ],
  [
    'the label of the service',
    { spec: { template: { metadata: { labels: { app: 'ai-model-service' } } } } },
    'spec.template.metadata.labels.app',
  ],
  [
    'no confinement by annotation',
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
    { spec: { template: { metadata: { finalizers: ['x/y'] } } } },
    'spec.template.metadata.finalizers',
  ],
];

test.each(POD_ATTACKS)('a pod may not have %s, whoever asks', (_, patch, path) => {
  for (const admin of [false, true]) {
    expect(pathsOf(patched('Deployment/iris', patch, { admin }))).toContain(path);
  }
});

const OBJECT_ATTACKS: readonly (readonly [string, string, object, string])[] = [
  [
    'another namespace',
    'Deployment',
    { metadata: { namespace: 'kube-system' } },
    'metadata.namespace',
  ],
  ['no namespace', 'Deployment', { metadata: { namespace: null } }, 'metadata.namespace'],
  ['another name', 'Deployment', { metadata: { name: 'other' } }, 'metadata.name'],
  ['a made-up name', 'Service', { metadata: { generateName: 'x' } }, 'metadata.generateName'],
  [
    'the service’s name',
    'ServiceAccount',
    { metadata: { name: 'ai-model-service' } },
    'metadata.name',
  ],
  [
    'a name of the service’s own',
    'ConfigMap',
    { metadata: { name: 'ai-model-service-state' } },
    'metadata.name',
  ],
  [
    'a name with more behind it',
    'ConfigMap',
    { metadata: { name: 'iris--model-2' } },
    'metadata.name',
  ],
  [
    'the label of another model',
    'Deployment',
    { metadata: { labels: { [known.MODEL_LABEL]: 'other' } } },
    `metadata.labels["${known.MODEL_LABEL}"]`,
  ],
  [
    'no label of the model',
    'PodDisruptionBudget',
    { metadata: { labels: null } },
    'metadata.labels',
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
  ],
  [
    'pods of another model',
    'Deployment',
    { spec: { selector: { matchLabels: { [known.MODEL_LABEL]: 'other' } } } },
    `spec.selector.matchLabels["${known.MODEL_LABEL}"]`,
  ],
  [
    'pods by expression',
    'Deployment',
    { spec: { selector: { matchExpressions: [] } } },
    'spec.selector.matchExpressions',
  ],
  ['a number of replicas', 'Deployment', { spec: { replicas: 100 } }, 'spec.replicas'],
  [
    'another Deployment to scale',
    'HorizontalPodAutoscaler',
    { spec: { scaleTargetRef: { name: 'other' } } },
    'spec.scaleTargetRef.name',
  ],
  [
    'another kind to scale',
    'HorizontalPodAutoscaler',
    { spec: { scaleTargetRef: { kind: 'StatefulSet' } } },
    'spec.scaleTargetRef.kind',
  ],
  [
    'a budget over all pods',
    'PodDisruptionBudget',
    { spec: { selector: { matchLabels: null } } },
    'spec.selector.matchLabels',
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
  ],
  ['no selector', 'Service', { spec: { selector: null } }, 'spec.selector'],
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
  ['a status', 'Deployment', { status: { readyReplicas: 9 } }, 'status'],
];

test.each(OBJECT_ATTACKS)('an object may not have %s (%s)', (_, kind, patch, path) => {
  for (const admin of [false, true]) {
    expect(pathsOf(patched(kind, patch, { admin }))).toContain(path);
  }
});

test.each([
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
])('a model has no %s', (kind) => {
  const metadata = {
    name: 'iris',
    namespace: 'ai-models',
    labels: { [known.MODEL_LABEL]: 'iris' },
  };
  const all = found({}, (objects) => [...objects, { apiVersion: 'v1', kind, metadata }]);
  expect(all).toEqual([
    expect.objectContaining({ object: `${kind}/iris`, path: 'kind', got: kind }),
  ]);
});

test('a ConfigMap of content may not enter the registry', () => {
  const labels = { [known.DEFINITION_LABEL]: 'true' };
  const all = found({}, (objects) =>
    objects.map((one) =>
      /--server-/.test(String((one['metadata'] as Plain)['name']))
        ? mergePatch(one, { metadata: { labels } })
        : one,
    ),
  );
  // One for each arm: their versions make their files differ.
  const path = `metadata.labels["${known.DEFINITION_LABEL}"]`;
  expect(pathsOf(all)).toEqual([path, path]);
});

test.each([
  ['overrides', { overrides: { Deployment: { spec: { minReadySeconds: 30 } } } }],
  ['command', { command: ['/bin/sh', '-c', 'curl example.com'] }],
  ['args', { args: ['--trust-remote-code'] }],
])('%s need the scope admin, and stay when somebody else changes the rest', (path, definition) => {
  expect(pathsOf(found({ definition }))).toEqual([path]);
  expect(found({ definition, more: { admin: true } })).toEqual([]);
  const before = specOf(model({ ...FULL, ...definition }));
  const changed = { ...definition, version: 'v9' };
  expect(found({ definition: changed, more: { before } })).toEqual([]);
  expect(found({ more: { before } })).toEqual([]);
});

test.each([
  'sidecar.istio.io/userVolume',
  'vault.hashicorp.com/agent-inject-secret-db',
  'k8s.v1.cni.cncf.io/networks',
  'iam.amazonaws.com/role',
  'cdi.k8s.io/vendor',
  'ad.datadoghq.com/server.checks',
  'io.kubernetes.cri-o.Devices',
])('the annotation %s needs the scope admin: something hands out more by it', (key) => {
  const definition = { annotations: { [key]: 'x' } };
  const all = found({ definition });
  expect(all.length).toBeGreaterThan(0);
  expect(all.every(({ path }) => path.endsWith(`annotations["${key}"]`))).toBe(true);
  expect(found({ definition, more: { admin: true } })).toEqual([]);
  const before = specOf(model({ ...FULL, ...definition }));
  expect(found({ definition, more: { before } })).toEqual([]);
});

test.each([
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
])('from ghcr.io and registry.example.com/team alone: %s is %s', (image, fine) => {
  const allowedRegistries = ['ghcr.io', 'registry.example.com/team/'];
  const definition = { image };
  const all = found({ definition, more: { allowedRegistries } });
  expect(all.length === 0).toBe(fine);
  expect(found({ definition, more: { allowedRegistries, admin: true } })).toEqual([]);
  const before = specOf(model({ ...FULL, ...definition }));
  expect(found({ definition, more: { allowedRegistries, before } })).toEqual([]);
});

test.each([
  ['suoke/iris:1', true],
  ['docker.io/suoke/iris:1', true],
  ['index.docker.io/suoke/iris:1', true],
  ['iris:1', false],
  ['localhost/suoke/iris:1', false],
])('from docker.io/suoke alone: %s is %s', (image, fine) => {
  const all = found({ definition: { image }, more: { allowedRegistries: ['docker.io/suoke'] } });
  expect(all.length === 0).toBe(fine);
});

const NOWHERE = [
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

const httpsFrom = (uri: string): object => ({ framework: 'sklearn', source: { uri } });

test.each(NOWHERE)('an artifact is never loaded from %s, whoever asks', (uri) => {
  for (const admin of [false, true]) {
    const all = found({ definition: httpsFrom(uri), more: { admin } });
    expect(pathsOf(all)).toContain('repository_url');
    expect(JSON.stringify(all)).not.toContain('models.example.com:x');
  }
});

test.each([
  'https://models.example.com/x.pkl',
  'https://10.1.2.3/x.pkl',
  'https://127.example.com/x.pkl',
  'https://localhost.example.com/x.pkl',
  'https://[fd12::1]/x.pkl',
  'https://[2001:db8::1]/x.pkl',
  's3://localhost/x.pkl',
])('%s is a place like any other', (uri) => {
  expect(found({ definition: httpsFrom(uri) })).toEqual([]);
});

test('the endpoint of a store, and the sources of candidates, are looked at as well', () => {
  const endpoint = 'http://169.254.169.254/';
  const source = { uri: 's3://models/iris', endpoint };
  expect(pathsOf(found({ definition: { source } }))).toEqual([
    'repository_url.endpoint',
    'candidates[0].repository_url.endpoint',
  ]);
  const candidates = [{ version: 'v2', source: 'https://[::1]/x.pkl', traffic: 1 }];
  expect(pathsOf(found({ definition: { candidates } }))).toEqual(['candidates[0].repository_url']);
});

test.each([
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
])('with allowed hosts %s is %s', (uri, fine) => {
  const allowedHosts = ['models.example.com', '*.store.example.com', 'minio.example.com:9000'];
  const all = found({ definition: httpsFrom(uri), more: { allowedHosts } });
  expect(all.length === 0).toBe(fine);
});

test.each(['app', 'k8s-app'])(
  'the label %s needs the scope admin: others may select by it',
  (key) => {
    const definition = { labels: { [key]: 'payments' } };
    const paths = pathsOf(found({ definition }));
    expect(new Set(paths)).toEqual(
      new Set([`spec.template.metadata.labels${key === 'app' ? '.app' : `["${key}"]`}`]),
    );
    expect(found({ definition, more: { admin: true } })).toEqual([]);
    const before = specOf(model({ ...FULL, ...definition }));
    expect(found({ definition, more: { before } })).toEqual([]);
    expect(found({ definition: { labels: { [`example.com/${key}`]: 'x' } } })).toEqual([]);
  },
);

test('a claim that is not the model’s own is only read', () => {
  const mount = (claim: object): object => volumeOf({ persistentVolumeClaim: claim });
  expect(pathsOf(patched('Deployment/iris', mount({ claimName: 'models' })))).toContain(
    `${V}.persistentVolumeClaim.readOnly`,
  );
  const source = 'pvc://models/iris.pkl';
  expect(found({ definition: { source, cache: undefined } })).toEqual([]);
});

test('Secrets that are allowed may be named, but never the service’s own', () => {
  const named = (secret: string): object => ({ env: { A_TOKEN: { secret, key: 'x' } } });
  const allowedSecrets = ['shared', 'router-keys', 'ai-model-service-keys'];
  const at = (secret: string) => found({ definition: named(secret), more: { allowedSecrets } });
  expect(at('shared')).toEqual([]);
  expect(at('iris--mine')).toEqual([]);
  expect(at('other').length).toBeGreaterThan(0);
  expect(at('router-keys').length).toBeGreaterThan(0);
  expect(at('ai-model-service-keys').length).toBeGreaterThan(0);
});

test('a model whose name is one of the service’s own has no objects', () => {
  const all = found({ more: { own: ['iris'] } });
  const named = all.filter(({ path }) => path === 'metadata.name').map(({ object }) => object);
  expect(named).toEqual(expect.arrayContaining(['ServiceAccount/iris', 'Deployment/iris']));
});

test('a file is taken only when it is known', () => {
  const definition = { framework: 'onnx', source: './iris.onnx', cache: undefined };
  expect(found({ definition })).toEqual([]);
  expect(pathsOf(found({ definition, more: { knownFiles: new Set() } }))).toEqual([
    'repository_url',
    'candidates[0].repository_url',
  ]);
});

test('a runtime class that the definition names in the open is allowed', () => {
  expect(found({ definition: { scheduling: { runtimeClass: 'gvisor' } } })).toEqual([]);
});

test('a violation says what, got, allowed and how to mend it', () => {
  expect(patched('Deployment/iris', podOf({ hostNetwork: true }))).toEqual([
    {
      object: 'Deployment/iris',
      path: 'spec.template.spec.hostNetwork',
      got: 'true',
      allowed: 'false',
      message:
        'Deployment/iris spec.template.spec.hostNetwork: got true, must be false; leave it so',
    },
  ]);
});

test('odd input is refused and never throws', () => {
  const context = contextOf(specOf(model()), parseEnvironment());
  fc.assert(
    fc.property(fc.array(fc.jsonValue(), { minLength: 1 }), (objects) => {
      expect(policyViolations(objects, context).length).toBeGreaterThan(0);
    }),
  );
});

/** Undefined for what can be parsed and not rendered, as a file for a server that wants a folder. */
function tryObjects(spec: ModelSpec, environment: Environment): readonly unknown[] | undefined {
  try {
    return objectsOf(spec, environment);
  } catch (error) {
    if (error instanceof DefinitionError) return undefined;
    throw error;
  }
}

test('what a plain writer’s definitions become always passes', () => {
  fc.assert(
    fc.property(models, fc.constantFrom<EnvironmentInput>({}, EVERYTHING), (input, given) => {
      const spec = specOf(input);
      const environment = parseEnvironment(given);
      const made = tryObjects(spec, environment);
      fc.pre(made !== undefined);
      const allowed = { allowedSecrets: secretsOf(spec), allowedRegistries: [] };
      expect(policyViolations(made, contextOf(spec, environment, allowed))).toEqual([]);
    }),
  );
});

const GOLDEN = join(__dirname, '..', 'golden', 'objects');
const golden = readdirSync(GOLDEN).filter((name) => /(?<!\.k8s)\.yaml$/.test(name));

test.each(golden)('%s passes', (name) => {
  const given = parse(readFileSync(join(GOLDEN, name), 'utf8')) as {
    readonly definition: object;
    readonly environment?: EnvironmentInput;
    readonly files?: Readonly<Record<string, string>>;
  };
  const spec = specOf(given.definition, given.files);
  const environment = parseEnvironment(given.environment);
  const admin = ['overrides', 'command', 'args'].some((field) => field in given.definition);
  const more = { admin, allowedSecrets: secretsOf(spec) };
  expect(
    policyViolations(objectsOf(spec, environment), contextOf(spec, environment, more)),
  ).toEqual([]);
});

test('the names that the core knows are those of the objects', () => {
  const { MODEL_LABEL, ARM_LABEL, DEFINITION_LABEL, DEFINITION_KEY } = names;
  expect(known).toMatchObject({ MODEL_LABEL, ARM_LABEL, DEFINITION_LABEL, DEFINITION_KEY });
  expect(known.isOwnName({ own: [] } as unknown as PolicyContext, names.MANAGER)).toBe(true);
});
