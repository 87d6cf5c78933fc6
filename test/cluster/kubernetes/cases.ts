import type { EnvironmentInput } from '../../../lib/spec';

/** How to bring a model into a state, and how to see that it is there. */
export interface Case {
  /** Applied one after the other, each when the one before is ready. */
  readonly definitions: readonly [object, ...object[]];
  readonly environment?: EnvironmentInput;
  /** kubectl commands before the first definition, and after the last. */
  readonly before?: readonly (readonly string[])[];
  readonly after?: readonly (readonly string[])[];
  /** A kind that is left out. */
  readonly without?: string;
  /** Matches what is seen, as JSON, once the state is reached. */
  readonly until: RegExp;
}

/*
 * The images: a server on port 8080 whose /health does as MODE says (crash: exits 3 with a Python
 * traceback; oom: takes memory; done: exits 0; 503; once: 500 after 12 s; fill: writes 8 MB to
 * /tmp), with our command line beside it. `model:1` and `model:2` run as user 1000, `model:root` as
 * root, `model:named` as user `node`. A registry on each node's localhost:5000 answers 404 for
 * `absent` and 401 for `private`.
 */
const model = (more: object = {}): object => ({
  id: 'iris',
  version: 'v1',
  framework: 'custom',
  image: 'localhost/model:1',
  resources: { cpu: '10m', memory: '64Mi' },
  health: { periodSeconds: 1, startupSeconds: 600 },
  ...more,
});

const mode = (MODE: string, more: object = {}): object => model({ env: { MODE }, ...more });

/** RECORD_STORE: an object store that has every key with some bytes, but none with `gone` in it. */
const endpoint = process.env['RECORD_STORE'] ?? 'http://store.example.com:9000';
const STORE = { uri: 's3://models/iris.bin', endpoint };
const SHORT = { health: { periodSeconds: 1, startupSeconds: 5 } };
const ENVIRONMENT: EnvironmentInput = { images: { onnx: 'localhost/model:1' } };
const one = (definition: object, until: RegExp): Case => ({
  definitions: [definition],
  environment: ENVIRONMENT,
  until,
});
const deadline = { Deployment: { spec: { progressDeadlineSeconds: 12 } } };
const volumes = [{ name: 'tmp', emptyDir: { sizeLimit: '1Mi' } }];
const small = { Deployment: { spec: { template: { spec: { volumes } } } } };
const two = { scaling: { minReplicas: 2, maxReplicas: 2 } };
const quota = ['--hard=requests.memory=100Mi,pods=1'];
const canary = { version: 'v2', image: 'localhost/model:2', traffic: 10 };

export const CASES: Readonly<Record<string, Case>> = {
  healthy: one(model(two), /"availableReplicas":2/),
  'scaled-to-zero': {
    ...one(model(), /"replicas":0[^]*"pods":\[\]/),
    after: [['scale', 'deployment', 'iris', '--replicas=0']],
  },
  terminating: {
    ...one(model(two), /"deletionTimestamp"/),
    after: [['delete', 'pod', '-l', 'ai-model.suoke.life/model=iris', '--wait=false']],
  },
  rolling: {
    ...one(model(), /"ready":true[^]*"ready":false[^]*statuscode: 503/),
    definitions: [model(), mode('503', { version: 'v2+gpu', image: 'localhost/model:2' })],
  },
  'rolling-broken': {
    ...one(model(), /ErrImagePull|ImagePullBackOff/),
    definitions: [model(), model({ version: 'v2', image: 'localhost:5000/suoke/absent:2' })],
  },
  'two-arms': one(model({ candidates: [canary] }), /"readyReplicas":1[^]*"readyReplicas":1/),
  'image-absent': one(model({ image: 'localhost:5000/suoke/absent:1' }), /"ErrImagePull"/),
  'image-absent-later': one(
    model({ image: 'localhost:5000/suoke/absent:1' }),
    /"ImagePullBackOff"/,
  ),
  'image-private': one(model({ image: 'localhost:5000/suoke/private:1' }), /"ErrImagePull"/),
  'image-unreachable': one(model({ image: 'registry.invalid/suoke/iris:1' }), /"ErrImagePull"/),
  'no-gpu': one(model({ resources: { cpu: '10m', memory: '64Mi', gpu: 1 } }), /"Unschedulable"/),
  'no-memory': one(model({ resources: { cpu: '10m', memory: '4000Gi' } }), /"Unschedulable"/),
  'no-label': one(model({ scheduling: { nodeSelector: { gpu: 'a100' } } }), /"Unschedulable"/),
  'claim-absent': one(
    model({ framework: 'onnx', image: undefined, source: 'pvc://models/iris/model.onnx' }),
    /"Unschedulable"/,
  ),
  'claim-pending': one(
    model({ source: 's3://models/iris.bin', cache: { size: '1Gi' } }),
    /"Unschedulable"/,
  ),
  quota: {
    ...one(model(two), /"ReplicaFailure"/),
    before: [['create', 'quota', 'small', ...quota]],
  },
  'quota-none': {
    ...one(model(), /"ReplicaFailure"/),
    before: [['create', 'quota', 'none', '--hard=pods=0']],
  },
  'secret-absent': one(
    model({ env: { API_TOKEN: { secret: 'iris--keys', key: 'token' } } }),
    /"CreateContainerConfigError"/,
  ),
  'secret-key-absent': {
    ...one(
      model({ env: { API_TOKEN: { secret: 'iris--keys', key: 'token' } } }),
      /"CreateContainerConfigError"/,
    ),
    before: [['create', 'secret', 'generic', 'iris--keys', '--from-literal=other=1']],
  },
  'secret-volume-absent': one(
    model({ source: { uri: 's3://models/iris.bin', ca: 'iris--ca' } }),
    /"FailedMount"/,
  ),
  'configmap-absent': {
    ...one(
      model({ framework: 'sklearn', image: undefined, source: 's3://m/iris.joblib' }),
      /"FailedMount"/,
    ),
    without: 'ConfigMap',
  },
  crash: one(mode('crash'), /"terminated":\{[^}]*"exitCode":3/),
  'crash-loop': one(mode('crash'), /"CrashLoopBackOff"/),
  'crash-done': one(mode('done'), /"CrashLoopBackOff"/),
  'no-command': one(model({ command: ['/bin/nope'] }), /"StartError"|"RunContainerError"/),
  oom: one(mode('oom'), /"OOMKilled"/),
  'runs-as-root': one(model({ image: 'localhost/model:root' }), /"CreateContainerConfigError"/),
  'named-user': one(model({ image: 'localhost/model:named' }), /"CreateContainerConfigError"/),
  'probe-startup': one(mode('503'), /"Unhealthy"/),
  'probe-startup-killed': one(
    mode('503', SHORT),
    /"Killing"[^]*"restartCount":[1-9]|"restartCount":[1-9][^]*"Killing"/,
  ),
  'probe-readiness': {
    ...one(mode('once'), /Readiness probe failed/),
  },
  'artifact-mismatch': one(
    model({ source: { ...STORE, sha256: '0'.repeat(64) } }),
    /digest mismatch/,
  ),
  'artifact-absent': one(
    model({ source: { ...STORE, uri: 's3://models/gone.bin' } }),
    /"lastState":\{"terminated"/,
  ),
  'progress-deadline': one(mode('503', { overrides: deadline }), /"ProgressDeadlineExceeded"/),
  'pod-security': {
    ...one(model(), /"ReplicaFailure"/),
    environment: { ...ENVIRONMENT, podSecurity: 'baseline' },
    before: [['label', 'namespace', 'NAMESPACE', 'pod-security.kubernetes.io/enforce=restricted']],
  },
  'no-account': { ...one(model(), /"ReplicaFailure"/), without: 'ServiceAccount' },
  evicted: one(mode('fill', { overrides: small }), /"phase":"(?:Failed|Succeeded)"/),
  // Somebody has to stop the kubelet of the node meanwhile.
  'node-lost': one(model(two), /"status":"False","type":"Ready"[^]*"NodeNotReady"/),
  'autoscaler-blind': one(
    model({ scaling: { minReplicas: 1, maxReplicas: 3, targetConcurrency: 4 } }),
    /"FailedGetExternalMetric"[^]*"readyReplicas":1|"readyReplicas":1[^]*"FailedGetExternalMetric"/,
  ),
};
