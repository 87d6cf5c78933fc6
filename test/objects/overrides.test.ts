import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { DefinitionError } from '../../lib/spec';
import { at, findManifest, manifests, model } from '../support/manifests';

function faults(overrides: object, more: object = {}): string {
  try {
    manifests(model({ overrides, ...more }));
  } catch (error) {
    if (error instanceof DefinitionError) return error.message;
    throw error;
  }
  return '';
}

test('an override is a merge patch on the finished object: it changes, adds and removes', () => {
  const overrides = {
    Deployment: {
      metadata: { annotations: { 'example.com/a': 'b' } },
      spec: { minReadySeconds: 1, template: { spec: { topologySpreadConstraints: null } } },
    },
  };
  const made = findManifest(manifests(model({ overrides })), 'Deployment');
  expect(at(made, 'spec.minReadySeconds')).toBe(1);
  expect(made.metadata.annotations).toMatchObject({ 'example.com/a': 'b' });
  expect(at(made, 'spec.template.spec')).not.toHaveProperty('topologySpreadConstraints');
  expect(at(made, 'spec.revisionHistoryLimit')).toBe(5);
});

test('an override applies to every object of its kind', () => {
  const all = manifests(
    model({
      candidates: [{ version: 'v2', traffic: 1 }],
      overrides: { Deployment: { spec: { minReadySeconds: 1 } } },
    }),
  );
  const seconds = all
    .filter(({ kind }) => kind === 'Deployment')
    .map((one) => at(one, 'spec.minReadySeconds'));
  expect(seconds).toEqual([1, 1]);
});

test('a patch that changes nothing is an error', () => {
  expect(faults({ Deployment: { spec: { minReadySeconds: 10 } } })).toBe(
    'overrides.Deployment: got {"spec":{"minReadySeconds":10}}, must be a patch that changes something; remove it',
  );
});

test('a patch on a kind that the model does not have is an error', () => {
  expect(faults({ PodDisruptionBudget: { spec: { maxUnavailable: 2 } } })).toMatch(
    /^overrides\.PodDisruptionBudget: got .*, must be absent: this model has no PodDisruptionBudget here/,
  );
});

test('a field that Kubernetes does not have is an error, with a suggestion', () => {
  expect(faults({ Deployment: { spec: { template: { spec: { hostNetwrk: true } } } } })).toBe(
    'overrides.Deployment.spec.template.spec.hostNetwrk: got true, must be a field of PodSpec; did you mean hostNetwork?',
  );
});

test('a field named like an inherited method is unknown to Kubernetes', () => {
  expect(faults({ Deployment: { spec: { constructor: true } } })).toMatch(
    /^overrides\.Deployment\.spec\.constructor: got true, must be a field of DeploymentSpec;/,
  );
});

test.each([
  [{ Deployment: { spec: { minReadySeconds: '10' } } }, 'a number'],
  [{ Deployment: { spec: { paused: 'yes' } } }, 'true or false'],
  [{ Deployment: { spec: { template: { spec: { containers: {} } } } } }, 'a list'],
  [{ Deployment: { spec: { template: [] } } }, 'an object'],
  [{ ServiceAccount: { metadata: { annotations: { a: 1 } } } }, 'a string'],
  [{ ConfigMap: { data: [] } }, 'an object'],
  [
    { Deployment: { spec: { strategy: { rollingUpdate: { maxSurge: true } } } } },
    'a number or a string',
  ],
])('a value of another type is an error: %j', (overrides, allowed) => {
  expect(faults(overrides)).toContain(`must be ${allowed};`);
});

test('overrides are checked by the fields of the newest Kubernetes', () => {
  const root = join(__dirname, '..', '..');
  const args = [join(root, 'node_modules', '.bin', 'tsx'), 'scripts/fields.ts', '--check'];
  const env = { ...process.env, NODE_OPTIONS: '' };
  const done = spawnSync(process.execPath, args, { cwd: root, env, encoding: 'utf8' });
  expect(done.stderr).toBe('');
  expect(done.status).toBe(0);
});

test('a quantity may be a number', () => {
  const resources = { requests: { cpu: 2 } };
  const containers = [{ name: 'server', image: 'example.com/a:1', resources }];
  expect(faults({ Deployment: { spec: { template: { spec: { containers } } } } })).toBe('');
});

test.each([
  [{ Deployment: { metadata: { name: 'other' } } }, 'metadata.name'],
  [{ Deployment: { spec: { replicas: 3 } } }, 'spec.replicas'],
  [{ Deployment: { spec: { selector: { matchLabels: { a: 'b' } } } } }, 'spec.selector'],
  [
    {
      Deployment: {
        spec: { template: { metadata: { labels: { 'ai-model.suoke.life/arm': 'x' } } } },
      },
    },
    'spec.template.metadata.labels',
  ],
  [{ HorizontalPodAutoscaler: { spec: { scaleTargetRef: { name: 'x' } } } }, 'spec.scaleTargetRef'],
])('fields that tie objects together cannot change: %j', (overrides, path) => {
  expect(faults(overrides)).toMatch(new RegExp(`overrides\\.[A-Za-z]+\\.${path}: .*left as it is`));
});

test('a change that affects only the second object is an error, reported once', () => {
  const candidates = ['v2', 'v3'].map((version) => ({ version, traffic: 1 }));
  const text = faults({ Deployment: { metadata: { name: 'iris' } } }, { candidates });
  expect(text).toMatch(/^overrides\.Deployment\.metadata\.name: got "iris", .*left as it is/);
  expect(text.split('\n')).toHaveLength(1);
});
