import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { deployFiles } from '../../scripts/deploy-files';
import { parseConfig } from '../../runtime/app/config';
import { at, documents, findManifest, podTemplates } from '../support/manifests';
import { restrictedFaults } from '../support/podsecurity';
import { ROOT } from '../support/sources';
import { faultsOf128, newestFaults } from '../support/strict';

// deploy/kubernetes: what `kubectl apply --server-side -f deploy/kubernetes/` installs.

const FOLDER = join(ROOT, 'deploy', 'kubernetes');
const committed = new Map(
  readdirSync(FOLDER)
    .filter((name) => /\.(?:ya?ml|json)$/.test(name))
    .sort()
    .map((name) => [name, readFileSync(join(FOLDER, name), 'utf8')]),
);
const all = [...committed.values()].flatMap(documents);

test('the files are the objects of ModelService; npx tsx scripts/deploy.ts writes them', () => {
  expect([...committed]).toEqual([...deployFiles()]);
});

test('the namespaces of models and routers are applied first, and everything else is in them', () => {
  const names = ['suoke-life', 'ai-model-service'];
  expect(all.slice(0, 2)).toMatchObject(
    names.map((name) => ({ kind: 'Namespace', metadata: { name } })),
  );
  expect(new Set(all.slice(2).map(({ metadata }) => metadata.namespace))).toEqual(new Set(names));
});

test('objects that a router may change are in the namespace of the models, its Secrets are not', () => {
  const rights = all.filter(({ kind }) => kind === 'Role');
  const written = rights.filter((role) => JSON.stringify(role['rules']).includes('patch'));
  expect(written.map(({ metadata }) => metadata.namespace)).toEqual(['suoke-life', 'suoke-life']);
  const places = ['Deployment', 'Lease'].map((kind) => findManifest(all, kind).metadata.namespace);
  expect(places).toEqual(['ai-model-service', 'suoke-life']);
});

test('every object passes the schemas of 1.28 and the newest, its pods restricted security', () => {
  expect(all.flatMap(newestFaults)).toEqual([]);
  expect(faultsOf128(all)).toEqual([]);
  const [pod] = podTemplates(all);
  expect(restrictedFaults(at(pod?.template, 'spec') as Record<string, unknown>)).toEqual([]);
});

test('keys come from a Secret, and the service accepts the configuration', () => {
  const [pod] = podTemplates(all);
  expect(at(pod?.template, 'spec.volumes')).toContainEqual({
    name: 'keys',
    secret: { secretName: 'ai-model-service-keys' },
  });
  const { data } = findManifest(all, 'ConfigMap', 'ai-model-service') as {
    readonly data?: Readonly<Record<string, string>>;
  };
  const { auth, cluster, kubernetes } = parseConfig(data?.['config.yaml'] ?? '');
  expect([cluster, kubernetes.namespace]).toEqual(['kubernetes', 'suoke-life']);
  expect(at(pod?.template, 'spec.containers.0.volumeMounts')).toContainEqual({
    name: 'keys',
    mountPath: dirname(auth.keysFile ?? ''),
    readOnly: true,
  });
});

test('the service accepts config/config.yaml: on this machine, without a key', () => {
  const text = readFileSync(join(ROOT, 'config', 'config.yaml'), 'utf8');
  expect(parseConfig(text)).toMatchObject({
    cluster: 'local',
    server: { host: '127.0.0.1', port: 8080 },
    models: { directory: 'models' },
  });
});
