import {
  eventsAbout,
  eventsByName,
  eventsOf,
} from '../../../runtime/cluster/kubernetes/cache/object-events';
import { podCause } from '../../../runtime/cluster/kubernetes/diagnosis/pod-cause';
import { deploymentCause } from '../../../runtime/cluster/kubernetes/diagnosis/arm-cause';
import type { Plain } from './support';

// What versions and clusters other than the recorded one say: 1.28 to 1.36, in their own words.
const AT = '2026-01-02T03:04:05Z';
const metadata = { name: 'iris-5d-x', uid: 'u1', creationTimestamp: AT };

function event(reason: string, message: string, more: object = {}): object {
  const involvedObject = { kind: 'Pod', name: 'iris-5d-x', uid: 'u1' };
  return { reason, message, involvedObject, firstTimestamp: AT, lastTimestamp: AT, ...more };
}

function told(pod: object, events: readonly object[] = []) {
  return podCause({ metadata, ...pod }, eventsOf(events as readonly Plain[]));
}

const container = (state: object, more: object = {}): object => ({
  status: {
    phase: 'Running',
    conditions: [{ type: 'Ready', status: 'False', lastTransitionTime: AT }],
    containerStatuses: [{ name: 'server', image: 'a/b:1', ready: false, state, ...more }],
  },
});

const unschedulable = (message: string): object => ({
  spec: {
    containers: [{ name: 'server', resources: { requests: { 'nvidia.com/gpu': '2' } } }],
  },
  status: {
    phase: 'Pending',
    conditions: [
      {
        type: 'PodScheduled',
        status: 'False',
        reason: 'Unschedulable',
        message,
        lastTransitionTime: AT,
      },
    ],
  },
});

test.each([
  [
    '0/4 nodes are available: 1 node(s) had untolerated taint {nvidia.com/gpu: present}, 3 Insufficient nvidia.com/gpu. preemption: 0/4 nodes are available: 1 Preemption is not helpful for scheduling, 3 No preemption victims found for incoming pod.',
    'no node fits; of 4: 1 has a taint that is not tolerated {nvidia.com/gpu: present}, 3 have too little nvidia.com/gpu free (a replica asks for 2); ask for less in resources, or add nodes that have more',
  ],
  [
    "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) were unschedulable.",
    'no node fits; of 2: 1 lacks the labels that scheduling.node_selector or the GPU’s product require, 1 node(s) were unschedulable; correct scheduling.node_selector or gpu.product, or label nodes',
  ],
  [
    'no nodes available to schedule pods',
    'no node fits: no nodes available to schedule pods; add nodes, or ask for less',
  ],
])('the scheduler reports "%s"', (words, message) => {
  expect(told(unschedulable(words))).toMatchObject({
    cause: 'no-node-fits',
    message,
    failed: true,
  });
});

test('a pod waits for a node that is being added', () => {
  const words = '0/1 nodes are available: 1 Insufficient nvidia.com/gpu.';
  const coming = event('TriggeredScaleUp', 'pod triggered scale-up: [{gpu 0->1 (max: 3)}]');
  const found = told(unschedulable(words), [coming]);
  expect(found).toMatchObject({ cause: 'no-node-fits', failed: false });
  expect(found?.message).toMatch(/a new node is on its way$/);
});

test('a back-off of 1.28 has no message: the event of the last attempt has it', () => {
  const waiting = { reason: 'ImagePullBackOff', message: 'Back-off pulling image "a/b:1"' };
  const events = [
    event('Failed', 'Failed to pull image "a/b:1": pull access denied, repository does not exist'),
    event('Failed', 'Error: ErrImagePull'),
  ];
  const found = told(container({ waiting }), events);
  expect(found?.message).toMatch(/requires other credentials.*pull access denied/);
});

test.each([
  ['no match for platform in manifest: not found', /not built for the CPU of the nodes/],
  ['429 Too Many Requests - toomanyrequests: You have reached your pull rate limit', /rate limit/],
  ['x509: certificate signed by unknown authority', /cannot be reached/],
  ['something unknown', /look at the events of the pod \(something unknown/],
])('a registry reports "%s"', (words, message) => {
  const found = told(container({ waiting: { reason: 'ErrImagePull', message: words } }));
  expect(found?.cause).toBe('image-pull');
  expect(found?.message).toMatch(message);
});

test.each([
  [132, 'crash', /instruction this CPU does not have/],
  [137, 'crash', /SIGKILL/],
  [139, 'crash', /segmentation fault/],
])('exit code %i is explained', (exitCode, cause, message) => {
  const terminated = { exitCode, reason: 'Error', finishedAt: AT };
  const found = told(container({ terminated }));
  expect(found).toMatchObject({ cause, since: Date.parse(AT) });
  expect(found?.message).toMatch(message);
});

test('the last line of a JSON log is its message, without colours', () => {
  const line = '{"level":50,"time":1,"msg":"cannot load \\u001b[31mmodel\\u001b[0m: no such op"}';
  const terminated = { exitCode: 1, reason: 'Error', finishedAt: AT, message: `up\n${line}\n\n` };
  expect(told(container({ terminated }))?.message).toMatch(
    /exit code 1: cannot load model: no such op; look at its log$/,
  );
});

test('a liveness probe that ends a container is the cause, not the exit code', () => {
  const ended = {
    exitCode: 137,
    reason: 'Error',
    startedAt: AT,
    finishedAt: '2026-01-02T03:06:00Z',
  };
  const fieldPath = 'spec.containers{server}';
  const involvedObject = { kind: 'Pod', name: 'iris-5d-x', uid: 'u1', fieldPath };
  const events = [
    event(
      'Unhealthy',
      'Liveness probe failed: Get "http://10.0.0.1:80/": context deadline exceeded',
      {
        involvedObject,
      },
    ),
    event('Killing', 'Container server failed liveness probe, will be restarted', {
      involvedObject,
    }),
  ];
  const found = told(container({ running: {} }, { lastState: { terminated: ended } }), events);
  expect(found).toMatchObject({ cause: 'probe-failing', failed: true });
  expect(found?.message).toMatch(
    /its livenessProbe failed: it got no answer in time; the process hangs/,
  );
});

test('an image for another CPU cannot be started', () => {
  const message = 'failed to create: exec /bin/server: exec format error: unknown';
  const waiting = { reason: 'CrashLoopBackOff', message: 'back-off 10s restarting' };
  const terminated = { exitCode: 128, reason: 'StartError', message, finishedAt: AT };
  const found = told(container({ waiting }, { lastState: { terminated } }));
  expect(found).toMatchObject({ cause: 'start-error', failed: true });
  expect(found?.message).toMatch(/built for another CPU/);
});

test('a volume that cannot be mounted is reported before 1.29, which lacks the condition', () => {
  const pod = container({ waiting: { reason: 'ContainerCreating' } });
  const words = 'MountVolume.SetUp failed for volume "ca" : secret "iris--ca" not found';
  expect(told(pod, [event('FailedMount', words)])).toMatchObject({
    cause: 'missing-secret',
    message: 'Secret iris--ca does not exist; create it in the model’s namespace',
    failed: true,
  });
  const running = container({ running: {} });
  expect(told(running, [event('FailedMount', words)])).toBeUndefined();
});

test('events in the form of events.k8s.io are read too; those of other objects are not', () => {
  const waiting = { reason: 'ImagePullBackOff', message: 'Back-off pulling image "a/b:1"' };
  const note = 'Failed to pull image "a/b:1": a/b:1: not found';
  const about = (uid: string): object => ({
    reason: 'Failed',
    note,
    regarding: { kind: 'Pod', name: 'iris-5d-x', uid },
    eventTime: AT,
    series: { count: 3, lastObservedTime: '2026-01-02T03:05:00Z' },
  });
  expect(told(container({ waiting }), [about('u1')])?.message).toMatch(
    /the image or tag does not exist/,
  );
  const pod = { metadata };
  const all = eventsOf([about('u1'), about('earlier')] as readonly Plain[]);
  expect(eventsAbout(eventsByName(all), pod)).toHaveLength(1);
  const [noticed] = eventsOf([about('u1')] as readonly Plain[]);
  expect(noticed).toMatchObject({ count: 3, last: Date.parse('2026-01-02T03:05:00Z') });
});

test.each([
  ['EvictionByEvictionAPI', 'evicted', /drain/],
  ['PreemptionByScheduler', 'preempted', /higher priority/],
  ['DeletionByTaintManager', 'node-lost', /look at the node/],
])('a pod ended by %s is explained', (reason, cause, message) => {
  const target = { type: 'DisruptionTarget', status: 'True', reason, lastTransitionTime: AT };
  const found = told({ status: { phase: 'Running', conditions: [target] } });
  expect(found?.cause).toBe(cause);
  expect(found?.message).toMatch(message);
});

test('a node that refuses its pod is explained', () => {
  const message = 'Pod was rejected: Allocate failed due to no healthy devices present';
  const status = { phase: 'Failed', reason: 'UnexpectedAdmissionError', message };
  const found = told({ status });
  expect(found).toMatchObject({ cause: 'node-refused', failed: true });
  expect(found?.message).toMatch(/no healthy devices/);
});

function refused(message: string, condition = true) {
  const failure = { type: 'ReplicaFailure', status: 'True', message, lastTransitionTime: AT };
  const involvedObject = { kind: 'ReplicaSet', name: 'iris-5d' };
  const deployment = {
    metadata: { name: 'iris', creationTimestamp: AT },
    spec: { replicas: 1 },
    status: condition ? { conditions: [failure] } : {},
  };
  const events = [event('FailedCreate', message, { involvedObject })];
  return deploymentCause(deployment, eventsOf(events as readonly Plain[]));
}

test.each([
  [
    'pods "iris-1" is forbidden: failed quota: q: must specify limits.cpu for: server',
    'quota-exceeded',
    /limits\.cpu for: server/,
  ],
  [
    'admission webhook "validate.kyverno.svc" denied the request: no signed image',
    'admission-refused',
    /validate\.kyverno\.svc.*no signed image/,
  ],
  [
    'pods "iris-1" is forbidden: maximum memory usage per Container is 1Gi, but limit is 8Gi',
    'limit-range',
    /1Gi, but limit is 8Gi; change resources/,
  ],
  [
    'pods "iris-1" is forbidden: no PriorityClass with name gold was found',
    'admission-refused',
    /PriorityClass gold does not exist/,
  ],
  ['something else', 'create-failed', /something else/],
])('refused pods are explained: "%s"', (words, cause, message) => {
  expect(refused(words)?.cause).toBe(cause);
  expect(refused(words)?.message).toMatch(message);
});

test('the event of a refusal is used before the condition exists', () => {
  const words =
    'Error creating: pods "iris-1" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2';
  expect(refused(words, false)).toMatchObject({ cause: 'quota-exceeded', failed: true });
});
