import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { buildTable } from '../../../../runtime/core/routing/build-table';
import type { Why } from '../../../../runtime/core/lifecycle/snapshot';
import { statusOf } from '../../../../runtime/core/lifecycle/status';
import { snapshotOf } from '../../../core/support';
import { recorded, recordFrom } from '../support';

type Row = readonly [name: string, cause: string, status: string, object: RegExp, message: RegExp];

// What a real cluster (1.36) said, recorded at the first sign; record.ts says how.
const ROWS: readonly Row[] = [
  [
    'image-absent',
    'image-pull',
    'failed',
    /^Pod\/iris-/,
    /suoke\/absent:1 .*the image or tag does not exist/,
  ],
  [
    'image-absent-later',
    'image-pull',
    'failed',
    /^Pod/,
    /the image or tag does not exist; push it/,
  ],
  ['image-private', 'image-pull', 'failed', /^Pod/, /other credentials; name a pull Secret/],
  ['image-unreachable', 'image-pull', 'failed', /^Pod/, /registry cannot be reached/],
  [
    'no-gpu',
    'no-node-fits',
    'failed',
    /^Pod/,
    /^no node fits; of 1: 1 has too little nvidia\.com\/gpu free \(a replica asks for 1\);/,
  ],
  ['no-memory', 'no-node-fits', 'failed', /^Pod/, /too little memory free .*4000Gi/],
  [
    'no-label',
    'no-node-fits',
    'failed',
    /^Pod/,
    /1 lacks the labels that scheduling\.node_selector/,
  ],
  [
    'claim-absent',
    'missing-volume',
    'failed',
    /^Pod/,
    /^PersistentVolumeClaim models does not exist/,
  ],
  ['claim-pending', 'volume-pending', 'failed', /^Pod/, /cache\.storage_class/],
  [
    'quota-none',
    'quota-exceeded',
    'failed',
    /^Deployment\/iris$/,
    /^quota none .* asks for pods=1; pods=0 of pods=0 are used/,
  ],
  ['quota', 'quota-exceeded', 'scaling', /^Deployment\/iris$/, /requests\.memory=64Mi/],
  [
    'secret-absent',
    'missing-secret',
    'failed',
    /^Pod/,
    /^Secret iris--keys does not exist; create it/,
  ],
  ['secret-key-absent', 'missing-secret', 'failed', /^Pod/, /^Secret iris--keys has no key token/],
  ['secret-volume-absent', 'missing-secret', 'failed', /^Pod/, /^Secret iris--ca does not exist/],
  [
    'configmap-absent',
    'missing-configmap',
    'failed',
    /^Pod/,
    /^ConfigMap iris--server-[0-9a-f]{8} does not exist/,
  ],
  [
    'crash',
    'crash',
    'failed',
    /^Pod/,
    /exit code 3, restarted once: ValueError: weights have 4 inputs, the graph wants 5;/,
  ],
  ['crash-loop', 'crash', 'failed', /^Pod/, /exit code 3, restarted once: ValueError: weights/],
  ['crash-done', 'crash', 'failed', /^Pod/, /ended by itself with exit code 0/],
  ['no-command', 'start-error', 'failed', /^Pod/, /"\/bin\/nope".*correct command, or the image/],
  ['oom', 'oom-killed', 'failed', /^Pod/, /limit 64Mi.*raise resources\.memory/],
  ['runs-as-root', 'image-wants-root', 'failed', /^Pod/, /set run_as_user in the definition/],
  ['named-user', 'named-user', 'failed', /^Pod/, /user "node".*set run_as_user to its number/],
  [
    'probe-startup',
    'probe-failing',
    'deploying',
    /^Pod/,
    /startupProbe \(GET \/health on port 8080\) got HTTP 503/,
  ],
  ['probe-startup-killed', 'probe-failing', 'failed', /^Pod/, /restarted because its startupProbe/],
  ['probe-readiness', 'probe-failing', 'deploying', /^Pod/, /readinessProbe .* got HTTP 500/],
  [
    'artifact-mismatch',
    'artifact-mismatch',
    'failed',
    /^Pod/,
    /digest mismatch: got sha256 df1329c8.*check the source, then the definition's sha256/,
  ],
  ['artifact-absent', 'artifact-download', 'failed', /^Pod/, /404 Not Found; check the URI/],
  ['progress-deadline', 'probe-failing', 'failed', /^Pod/, /got HTTP 503/],
  ['pod-security', 'pod-security', 'failed', /^Deployment/, /"restricted:latest".*set podSecurity/],
  ['no-account', 'missing-account', 'failed', /^Deployment/, /iris cannot be used/],
  ['rolling', 'probe-failing', 'updating', /^Pod/, /got HTTP 503/],
  ['rolling-broken', 'image-pull', 'failed', /^Pod/, /suoke\/absent:2/],
  ['autoscaler-blind', 'autoscaler-blind', 'running', /^HorizontalPodAutoscaler\/iris$/, /cpu/],
];
const SOUND = ['healthy', 'scaled-to-zero', 'terminating', 'two-arms'];
const ENDED = ['evicted', 'node-lost'];

test.each(ROWS)(
  '%s: the cause is %s and the model is %s',
  (name, cause, status, object, message) => {
    const found = statusOf(recordFrom(recorded(name)));
    expect(found).toMatchObject({ status, why: { cause } });
    expect(found.why?.object).toMatch(object);
    expect(found.why?.message).toMatch(message);
  },
);

test.each(SOUND)('%s: has no cause', (name) => {
  const record = recordFrom(recorded(name));
  expect(statusOf(record).why).toBeUndefined();
});

test('every recording is tested', () => {
  const files = readdirSync(join(__dirname, '..', 'recorded')).map((name) =>
    name.replace('.json', ''),
  );
  expect(files.sort()).toEqual([...ROWS.map(([name]) => name), ...SOUND, ...ENDED].sort());
});

test.each(ROWS)('%s: the time is a moment of the recording', (name) => {
  const { why } = statusOf(recordFrom(recorded(name)));
  const at = new Date((why as Why).since).toISOString();
  expect(at).toMatch(/^2026-11-25T22:(?:19|2\d)/);
});

test('a replica evicted by its node is reported until it is replaced', () => {
  const seen = recorded('evicted');
  const over = seen.pods.filter((pod) => JSON.stringify(pod['status']).includes('Succeeded'));
  const alone = recordFrom({ ...seen, pods: over });
  expect(statusOf(alone)).toMatchObject({ status: 'failed', why: { cause: 'evicted' } });
  expect(statusOf(alone).why?.message).toMatch(/exceeds the limit "1Mi"/);
  const healthy = recorded('healthy');
  const replaced = recordFrom({ ...healthy, pods: [...over, ...healthy.pods] });
  expect(replaced.replicas.map(({ phase }) => phase)).toEqual(['ready', 'ready']);
  expect(statusOf(replaced)).toEqual({ status: 'running', serving: true });
});

test('replicas on a node that does not report have failed, and get requests while they answer', () => {
  const record = recordFrom(recorded('node-lost'));
  expect(record.replicas.map(({ phase }) => phase)).toEqual(['failed', 'failed']);
  const route = buildTable(snapshotOf(record), 1).models.get('iris');
  expect(route?.arms.get('stable')?.replicas.map(({ terminating }) => terminating)).toEqual([
    false,
    false,
  ]);
  expect(statusOf(record)).toMatchObject({ serving: false, why: { cause: 'node-lost' } });
  expect(statusOf(record).why?.message).toMatch(/^its node node-1 does not answer/);
});
